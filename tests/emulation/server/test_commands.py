"""``useid eid-server`` over real TLS: PAOS for anybody, SOAP for those whose certificate it was told."""

import socket
import ssl
import threading
import time
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any

import httpx2
import pytest

from tests.emulation.server.world import OK, PSEUDONYM, Client
from useid_middleware.eac.certificate_description import parse_description
from useid_middleware.eid.client import SoapEIDServer
from useid_middleware.eid.core.results import Minor
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.paos import CONTENT_TYPE, decode, encode
from useid_middleware.emulation.pki_files import read_pki
from useid_middleware.emulation.server.app import Standalone
from useid_middleware.emulation.server.commands import add_commands, describe, make
from useid_middleware.emulation.server.serving import servers
from useid_middleware.emulation.server.soap_keys import CLIENT, prepare_key
from useid_middleware.errors import ConfigurationError, EIDServerError, UnavailableError
from useid_middleware.settings import EIDSettings

HOST = "localhost"


class Served:
    """A server on two free ports, and the settings that it tells its eServices."""

    def __init__(self, made: Standalone, *, origin: str, soap: str) -> None:
        self.made = made
        self.origin = origin
        self.told = "\n".join(describe(made, origin=origin, soap=soap))

    def settings(self, **changes: Any) -> EIDSettings:
        told = tomllib.loads(self.told.partition("\n")[2])["eid"]
        return EIDSettings(**{**told, **changes})


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # From here on, clients wait for whoever accepts them.
    listener.listen(16)
    return listener


@contextmanager
def _served(folder: Path, **options: Any) -> Iterator[Served]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listening()) for _ in range(2)]
        port, soap_port = (each.getsockname()[1] for each in listeners)
        origin = f"https://{HOST}:{port}"
        made = make(folder, host=HOST, origin=origin, subject_url=options.pop("subject_url", origin), **options)
        running = []
        for server, listener in zip(servers(made, host=HOST, port=port, soap_port=soap_port), listeners, strict=True):
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            running.append((server, thread))
        try:
            yield Served(made, origin=origin, soap=f"https://{HOST}:{soap_port}/eid/soap")
        finally:
            for server, thread in running:
                server.should_exit = True
                thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with _served(tmp_path_factory.mktemp("standalone") / "pki") as server:
        yield server


def service(settings: EIDSettings) -> SoapEIDServer:
    return SoapEIDServer(settings, clock=time.time, random_bytes=token_bytes)


async def test_a_login_over_mutual_tls(served: Served, tmp_path: Path) -> None:
    eid = service(served.settings())
    session = await eid.use_id(PSEUDONYM)
    assert session.ecard_server_address == f"{served.origin}/eid/paos"
    certificate, _ = served.made.tls
    pki = read_pki(certificate.parents[1])
    card = issue_card(personality_named("erika"), pki=pki, today=datetime.now(UTC).date(), random=token_bytes)
    client = Client(session.psk_id, card)
    context = ssl.create_default_context(cafile=certificate)
    async with httpx2.AsyncClient(verify=context) as http:
        message = client.start()
        while True:
            response = await http.post(
                session.ecard_server_address, content=encode(message), headers={"content-type": CONTENT_TYPE}
            )
            answer = decode(response.content)
            if isinstance(answer.body, paos.StartPAOSResponse):
                break
            message = client.respond(answer)
    assert answer.body.result == OK
    result = await eid.get_result(session.id, counter=1)
    assert result.personal_data.restricted_id is not None
    with pytest.raises(EIDServerError) as caught:
        await eid.get_result(session.id, counter=2)
    assert caught.value.minor == Minor.INVALID_SESSION
    assert (await eid.get_server_info()).version
    await eid.close()


async def test_who_has_no_certificate_that_was_told_is_refused_by_tls(served: Served, tmp_path: Path) -> None:
    stranger = prepare_key(tmp_path, CLIENT, now=datetime.now(UTC))
    eid = service(served.settings(tls_certificate=stranger.certificate_file, tls_key=stranger.key_file))
    with pytest.raises(UnavailableError):
        await eid.get_server_info()
    await eid.close()
    context = ssl.create_default_context(cafile=served.made.tls[0])
    async with httpx2.AsyncClient(verify=context) as http:
        with pytest.raises(httpx2.HTTPError):
            await http.post(served.settings().server, content=b"<a/>", headers={"content-type": "text/xml"})


async def test_a_signature_of_another_is_refused_by_the_server(served: Served, tmp_path: Path) -> None:
    stranger = prepare_key(tmp_path, CLIENT, now=datetime.now(UTC))
    eid = service(served.settings(signing_certificate=stranger.certificate_file, signing_key=stranger.key_file))
    with pytest.raises(EIDServerError) as caught:
        await eid.use_id(PSEUDONYM)
    assert caught.value.minor == Minor.INTERNAL_ERROR
    await eid.close()


async def test_the_service_may_be_somewhere_else_with_certificates_of_its_own(tmp_path: Path) -> None:
    shop = prepare_key(tmp_path / "shop", CLIENT, now=datetime.now(UTC))
    with _served(
        tmp_path / "pki",
        subject_url="https://shop.example",
        tls_certificates=[shop.certificate_file],
        client_certificates=[shop.certificate_file],
    ) as server:
        assert server.made.client is None
        # Whoever has a key of his own is not told another's.
        assert "signing_key" not in server.told
        session = await server.made.server.use_id(PSEUDONYM)
        start = paos.Envelope("urn:uuid:1", paos.StartPAOS(session.psk_id, "1"))
        answer = decode(await server.made.server.answer_paos(encode(start), origin=server.origin))
    assert isinstance(answer.body, paos.DIDAuthenticate)
    assert isinstance(answer.body.data, paos.EAC1Input)
    description = parse_description(answer.body.data.certificate_description)
    assert description.subject_url == "https://shop.example"
    assert len(description.tls_hashes) == 2


def test_the_terminal_says_what_this_is(served: Served) -> None:
    assert "for development" in served.told.splitlines()[0]
    assert served.settings().server.startswith("https://localhost:")


def test_a_second_start_finds_what_the_first_has_made(served: Served) -> None:
    folder = served.made.tls[0].parents[1]
    again = make(folder, host=HOST, origin=served.origin, subject_url=served.origin)
    assert again.signing.certificate == served.made.signing.certificate
    assert again.clients == served.made.clients
    assert again.tls == served.made.tls


def run(*words: str) -> int:
    parser = ArgumentParser(prog="useid")
    add_commands(parser.add_subparsers())
    args: Namespace = parser.parse_args(["eid-server", *words])
    code: int = args.func(args)
    return code


REFUSED = {
    "a host with a slash": (("--host", "a/b"), "--host"),
    "a host that is nowhere": (("--host", "nowhere.invalid"), "nowhere.invalid"),
    "a subject without a scheme": (("--subject-url", "shop"), "--subject-url"),
    "a client that is not there": (("--client-certificate", "/nonexistent/file"), "/nonexistent/file"),
    "a TLS certificate that is not there": (("--tls-certificate", "/nonexistent/file"), "/nonexistent/file"),
    "a folder that cannot be": (("--pki", "/dev/null/pki"), "/dev/null"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_said_before_anything_is(tmp_path: Path, name: str) -> None:
    words, match = REFUSED[name]
    with pytest.raises(ConfigurationError, match=match):
        run("--pki", str(tmp_path / "pki"), *words)


def test_a_port_that_somebody_has_is_said(tmp_path: Path) -> None:
    with _listening() as taken, pytest.raises(ConfigurationError, match="in use"):
        run("--pki", str(tmp_path / "pki"), "--host", "127.0.0.1", "--port", str(taken.getsockname()[1]))


@pytest.mark.parametrize("words", [("--port", "many"), ("--variant", "sideways"), ("extra",)])
def test_wrong_usage_has_exit_code_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2
