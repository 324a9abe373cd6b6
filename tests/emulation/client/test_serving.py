"""The phone beside the demo: its cards are of the demo's PKI, and a port that somebody else has is left alone."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from useid_middleware.emulation.card.issuing import with_revocations
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.serving import prepare_cards, serve_eid_phone
from useid_middleware.emulation.pki_files import read_pki


def test_a_pki_is_made_with_the_packages_revoked_card_on_its_list(tmp_path: Path) -> None:
    made = prepare_cards(tmp_path / "pki")
    assert with_revocations(made, personality_named("revoked")) is made
    assert with_revocations(made, personality_named("erika")) is made
    assert read_pki(tmp_path / "pki").sectors.revoked == made.sectors.revoked
    assert len(made.sectors.revoked) == 1


def test_a_pki_that_is_there_is_kept(tmp_path: Path) -> None:
    first = prepare_cards(tmp_path / "pki")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "pki").rglob("*.pem")}
    again = prepare_cards(tmp_path / "pki")
    assert again.trust_points == first.trust_points
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_the_phone_is_served_and_knows_its_cards(tmp_path: Path) -> None:
    address = serve_eid_phone(0, pki_folder=tmp_path / "pki", app_url="http://127.0.0.1:8000")
    assert address.startswith("http://127.0.0.1:")
    # A connection waits in the socket's queue until the server's thread runs.
    cards = httpx2.get(f"{address}cards").json()["cards"]
    assert cards[0]["name"] == "erika"


def test_a_port_that_somebody_else_has_is_left_alone_and_no_pki_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert serve_eid_phone(port, pki_folder=tmp_path / "pki", app_url="") == ""
    assert not (tmp_path / "pki").exists()


def test_demos_that_start_at_once_share_one_pki(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(prepare_cards, [tmp_path / "pki"] * 4))
    assert {pki.authority.root.encode() for pki in made} == {read_pki(tmp_path / "pki").authority.root.encode()}
