"""The embedded server's certificate: made once, kept while it holds, renewed when it does not."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.emulation.card.world import NOW, pki, stream
from useid_middleware.eac.certificate_chain import verify_chain
from useid_middleware.eac.certificate_description import verify_description
from useid_middleware.eac.chat import AuthenticationRight
from useid_middleware.emulation.pki import PKI, TerminalRequest, issue_terminal
from useid_middleware.emulation.pki_certificates import DV_DAYS, TERMINAL_DAYS
from useid_middleware.emulation.pki_files import create_pki, read_pki
from useid_middleware.emulation.server.folder import FolderTerminals
from useid_middleware.emulation.server.material import TERMINAL, ServerMaterial, material_of
from useid_middleware.emulation.server.terminal import MARGIN, MAX_TERMINALS, prepare_pki, with_terminal
from useid_middleware.errors import ConfigurationError

ORIGIN = "https://auth.example"
TLS = b"a TLS certificate in DER"


def _prepared(made: PKI, *, origin: str = ORIGIN, tls_ders: tuple[bytes, ...] = (TLS,), days: int = 0) -> PKI:
    return with_terminal(
        made, origin=origin, tls_ders=tls_ders, now=NOW + timedelta(days=days), random=stream(f"terminal {days}")
    )


def test_the_terminal_says_where_it_is_met_and_which_tls_certificate_is_there() -> None:
    material = material_of(_prepared(pki()))
    description = verify_description(material.description, certificate=material.terminal)
    assert description.subject_url == ORIGIN
    assert description.tls_hashes == (sha256(TLS).digest(),)
    assert "TEST" in description.subject_name
    assert (
        verify_chain(material.presented, trusted=pki().trust_points, today=NOW.date()).certificate == material.terminal
    )


def test_the_order_of_tls_certificates_makes_no_other_terminal() -> None:
    prepared = _prepared(pki(), tls_ders=(b"1", b"2", b"3"))
    assert _prepared(prepared, tls_ders=(b"3", b"1", b"2", b"1")) is prepared


def test_without_tls_no_certificate_is_named() -> None:
    material = material_of(_prepared(pki(), tls_ders=()))
    assert verify_description(material.description, certificate=material.terminal).tls_hashes == ()


def test_a_terminal_that_holds_is_kept() -> None:
    prepared = _prepared(pki())
    assert _prepared(prepared, days=TERMINAL_DAYS - MARGIN.days) is prepared


@pytest.mark.parametrize(
    ("origin", "tls_ders", "days"),
    [
        ("https://other.example", (TLS,), 0),
        (ORIGIN, (b"renewed",), 0),
        (ORIGIN, (TLS, b"and another"), 0),
        (ORIGIN, (), 0),
        (ORIGIN, (TLS,), TERMINAL_DAYS - 1),
    ],
)
def test_a_terminal_that_does_not_hold_is_renewed_and_its_sectors_stay(
    origin: str, tls_ders: tuple[bytes, ...], days: int
) -> None:
    before = _prepared(pki())
    after = _prepared(before, origin=origin, tls_ders=tls_ders, days=days)
    assert after.terminal(TERMINAL).certificate != before.terminal(TERMINAL).certificate
    assert material_of(after).reference != material_of(before).reference
    assert after.sectors == before.sectors
    assert after.terminal(TERMINAL).certificate.says.expiration >= (NOW + timedelta(days=days) + MARGIN).date()


def test_with_an_expiring_dv_the_whole_country_is_renewed() -> None:
    day = DV_DAYS - 1
    after = _prepared(_prepared(pki()), days=day)
    assert after.dv.certificate != pki().dv.certificate
    trusted = after.trust_points
    verify_chain(material_of(after).presented, trusted=trusted, today=(NOW + timedelta(days=day)).date())


def test_a_terminal_that_somebody_issued_keeps_its_rights_and_sectors() -> None:
    rights = int(AuthenticationRight.READ_DG4 | AuthenticationRight.RESTRICTED_IDENTIFICATION)
    request = TerminalRequest(subject_name="TEST shop", rights=rights, migrating=True)
    issued = issue_terminal(pki(), TERMINAL, request=request, now=NOW, random=stream("issued"))
    material = material_of(_prepared(issued))
    assert material.chat.rights == rights
    assert material.sectors == pki().sectors.keys
    assert verify_description(material.description, certificate=material.terminal).subject_name == "TEST shop"


def test_one_sector_is_enough_where_nothing_moves() -> None:
    assert material_of(_prepared(pki())).sectors == (pki().sectors.keys[0], None)


def test_a_pki_is_made_where_there_is_none_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pki"
    made = prepare_pki(folder, origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream("new"))
    assert material_of(read_pki(folder)).reference == material_of(made).reference
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = prepare_pki(folder, origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream("again"))
    assert material_of(again).terminal == material_of(made).terminal


def test_the_pki_that_is_there_gets_a_terminal_more(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    create_pki(folder, replace(pki(), terminals={"default": pki().terminal()}))
    prepared = prepare_pki(folder, origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream("more"))
    assert prepared.terminals.keys() == {"default", TERMINAL}
    assert read_pki(folder).terminals.keys() == prepared.terminals.keys()


def test_workers_that_start_together_have_one_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "pki"

    def start(number: int) -> str:
        made = prepare_pki(folder, origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream(f"worker {number}"))
        return material_of(made).reference

    with ThreadPoolExecutor(4) as workers:
        assert len(set(workers.map(start, range(4)))) == 1
    assert material_of(read_pki(folder)).terminal.says.holder_reference.decode() == start(5)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear diary")
    with pytest.raises(ConfigurationError):
        prepare_pki(folder, origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream("x"))
    assert [each.name for each in folder.iterdir()] == ["letter.txt"]


def test_a_folder_that_cannot_be_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError):
        prepare_pki(tmp_path / "file" / "pki", origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream("x"))


def test_a_folder_has_a_bounded_number_of_terminals(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    many = {f"t{number}": pki().terminal() for number in range(MAX_TERMINALS)}
    create_pki(folder, replace(pki(), terminals=many))
    with pytest.raises(ConfigurationError):
        prepare_pki(folder, origin=ORIGIN, tls_ders=[TLS], now=NOW, random=stream("x"))


# --- The folder that workers share


class Clock:
    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


def _terminals(
    folder: Path, *, origin: str | None = ORIGIN, tls: tuple[Path, ...] = (), clock: Clock | None = None
) -> FolderTerminals:
    return FolderTerminals(
        folder, origin=origin, tls_certificates=tls, clock=clock or Clock(), random=stream(str(folder))
    )


def _subject_url(material: ServerMaterial) -> str | None:
    return verify_description(material.description, certificate=material.terminal).subject_url


async def test_a_configured_origin_has_the_usual_terminal(tmp_path: Path) -> None:
    terminals = _terminals(tmp_path / "pki")
    usual = await terminals.for_origin()
    assert await terminals.for_origin(ORIGIN) is usual
    assert _subject_url(usual) == ORIGIN
    assert read_pki(tmp_path / "pki").terminals.keys() == {"default", TERMINAL}


async def test_each_loopback_origin_has_a_terminal_of_its_own(tmp_path: Path) -> None:
    terminals = _terminals(tmp_path / "pki", origin=None)
    origins = ["http://localhost:8000", "http://127.0.0.1:8000", "https://localhost:8443", "http://[::1]:1"]
    found = {origin: await terminals.for_origin(origin) for origin in origins}
    assert {origin: _subject_url(material) for origin, material in found.items()} == {each: each for each in origins}
    assert len({material.reference for material in found.values()}) == len(origins)
    again = _terminals(tmp_path / "pki", origin=None)
    for origin, material in found.items():
        assert (await again.for_origin(origin)).terminal == material.terminal


async def test_another_worker_finds_the_terminal_that_a_session_began_with(tmp_path: Path) -> None:
    first, second = _terminals(tmp_path / "pki", origin=None), _terminals(tmp_path / "pki", origin=None)
    began = await first.for_origin("http://localhost:8000")
    found = await second.named(began.reference)
    assert found is not None
    assert found.terminal == began.terminal
    assert await second.named(began.reference) is found
    assert await second.named("DETESTAT99999") is None


async def test_a_terminal_is_renewed_while_the_server_runs(tmp_path: Path) -> None:
    clock = Clock()
    terminals = _terminals(tmp_path / "pki", clock=clock)
    first = await terminals.for_origin()
    clock.now += timedelta(days=TERMINAL_DAYS - 1).total_seconds()
    second = await terminals.for_origin()
    assert second.reference != first.reference
    # Sessions that began with the first one go on.
    assert await terminals.named(first.reference) is first


async def test_a_new_tls_certificate_makes_a_new_terminal(tmp_path: Path) -> None:
    path = tmp_path / "tls.pem"
    terminals = _terminals(tmp_path / "pki", tls=(path,))
    with pytest.raises(ConfigurationError, match="No such file"):
        await terminals.for_origin()
    found = []
    for at, certificate in enumerate((pki().csca.certificate, pki().signer.certificate), start=1):
        encoding = Encoding.PEM if at == 1 else Encoding.DER
        path.write_bytes(certificate.public_bytes(encoding))
        os.utime(path, (at, at))
        material = await terminals.for_origin()
        assert await terminals.for_origin() is material
        hashes = verify_description(material.description, certificate=material.terminal).tls_hashes
        found.append(hashes == (sha256(certificate.public_bytes(Encoding.DER)).digest(),))
    assert found == [True, True]


async def test_a_tls_certificate_that_is_none_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "tls.pem"
    for content in (b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"X\.509"):
            await _terminals(tmp_path / "pki", tls=(path,)).for_origin()
