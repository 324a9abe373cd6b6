"""The embedded server as the plugin mounts it: PAOS over HTTP from anywhere, SOAP where it is wanted."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.emulation.card.world import NOW, stream
from tests.emulation.server.test_service import Clock
from tests.emulation.server.world import OK, PSEUDONYM, Client
from useid_middleware.eac.certificate_description import parse_description
from useid_middleware.eid.core.attributes import UseIDSession
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.paos import CONTENT_TYPE, MAX_SIZE, Envelope, decode, encode
from useid_middleware.emulation.pki_files import read_pki
from useid_middleware.emulation.server.app import Site
from useid_middleware.emulation.server.mount import Embedded
from useid_middleware.emulation.server.routes import PAOS_PATH, SOAP_PATH
from useid_middleware.emulation.server.soap_keys import CLIENT, prepare_key
from useid_middleware.errors import ConfigurationError
from useid_middleware.settings import Settings
from useid_middleware.stores.memory import MemoryStore

ORIGIN = "http://localhost:8000"


def mounted(folder: Path, *, origin: str | None = None, **eid: Any) -> Embedded:
    clock = Clock()
    settings = Settings(
        from_env=False,
        origin=origin,
        store="memory://",
        eid={"server": "embedded", "pki": folder / "pki", **eid},
    )
    return Embedded(store=MemoryStore(clock=clock), settings=settings, clock=clock, random_bytes=stream("embedded"))


def http(embedded: Embedded, origin: str = ORIGIN) -> httpx2.AsyncClient:
    site = Site(embedded.routes_from_anywhere(), origin=origin)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site), base_url=origin)


def client_of(folder: Path, session: UseIDSession) -> Client:
    """A client with a card of the PKI that the server made for itself."""
    pki = read_pki(folder / "pki")
    card = issue_card(personality_named("erika"), pki=pki, today=NOW.date(), random=stream("card"))
    return Client(session.psk_id, card)


async def post(http: httpx2.AsyncClient, message: Envelope) -> Envelope:
    headers = {"content-type": f"{CONTENT_TYPE}; charset=utf-8", "paos": 'ver="urn:liberty:paos:2006-08"'}
    response = await http.post(PAOS_PATH, content=encode(message), headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == CONTENT_TYPE
    return decode(response.content)


@pytest.mark.parametrize("origin", [None, ORIGIN])
async def test_a_login_over_http(tmp_path: Path, origin: str | None) -> None:
    embedded = mounted(tmp_path, origin=origin)
    await embedded.open()
    session = await embedded.server.use_id(PSEUDONYM)
    client = client_of(tmp_path, session)
    async with http(embedded) as site:
        answer = await post(site, client.start())
        while not isinstance(answer.body, paos.StartPAOSResponse):
            answer = await post(site, client.respond(answer))
    assert answer.body.result == OK
    asked = client.received[0].body
    assert isinstance(asked, paos.DIDAuthenticate)
    assert isinstance(asked.data, paos.EAC1Input)
    assert parse_description(asked.data.certificate_description).subject_url == ORIGIN
    assert (await embedded.server.get_result(session.id, counter=1)).personal_data.restricted_id is not None
    await embedded.close()


async def test_what_is_no_message_is_answered_as_one(tmp_path: Path) -> None:
    async with http(mounted(tmp_path)) as site:
        response = await site.post(PAOS_PATH, content=b"hello", headers={"content-type": CONTENT_TYPE})
    assert response.status_code == 200
    assert isinstance(decode(response.content).body, paos.StartPAOSResponse)


async def test_a_body_of_another_type_or_size_is_refused_by_http(tmp_path: Path) -> None:
    async with http(mounted(tmp_path)) as site:
        typed = await site.post(PAOS_PATH, content=b"<a/>", headers={"content-type": "text/plain"})
        large = await site.post(PAOS_PATH, content=b" " * (MAX_SIZE + 1), headers={"content-type": CONTENT_TYPE})
    assert (typed.status_code, typed.json()["code"]) == (415, "unsupported_media_type")
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")


async def test_soap_is_there_for_the_services_that_the_settings_name(tmp_path: Path) -> None:
    client = prepare_key(tmp_path / "shop", CLIENT, now=NOW)
    async with http(mounted(tmp_path / "with", soap_clients=(client.certificate_file,))) as site:
        served = await site.post(SOAP_PATH, content=b"<a/>", headers={"content-type": "text/xml"})
    async with http(mounted(tmp_path / "without")) as site:
        absent = await site.post(SOAP_PATH, content=b"<a/>", headers={"content-type": "text/xml"})
    assert (served.status_code, absent.status_code) == (200, 404)
    # What answers are signed with was made behind the PKI.
    assert (tmp_path / "with" / "pki" / "soap" / "signing.pem").is_file()
    read_pki(tmp_path / "with" / "pki")


async def test_a_service_is_told_where_its_clients_shall_go(tmp_path: Path) -> None:
    told = [
        (await each.server.use_id(PSEUDONYM)).ecard_server_address
        for each in (mounted(tmp_path), mounted(tmp_path, paos_address="https://eid.example/eid/paos"))
    ]
    assert told == ["", "https://eid.example/eid/paos"]


async def test_a_pki_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "letter.txt").write_text("dear diary")
    with pytest.raises(ConfigurationError):
        await mounted(tmp_path).open()


def test_a_service_without_a_certificate_is_said_when_the_server_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"eid\.soap_clients"):
        mounted(tmp_path, soap_clients=(tmp_path / "absent.pem",))
