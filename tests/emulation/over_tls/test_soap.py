"""The plugin with an eID server somewhere else: ``useid eid-server`` in a process of its own, SOAP over mutual TLS.

Between two origins the specification wants TLS with the key of the tcToken (TR-03124-1 §2.4), which Python's ssl does
not have before 3.13; so ``eid.attached`` leaves the key out of it, as the eID server's printed settings say.
"""

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Final

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.ausweisapp.serving import found_country
from tests.emulation.client.website import Person
from tests.emulation.over_tls.people import Browser, Holder, ending_of
from tests.emulation.over_tls.two_origins import Place, Service, eid_server
from useid_middleware._xml import local_name, serialize
from useid_middleware.eid.client import SoapEIDServer
from useid_middleware.eid.core.attributes import Operation, UseIDRequest, UseIDSession, Wish
from useid_middleware.eid.core.requests import GetResultRequest, build_request
from useid_middleware.eid.core.responses import parse_get_result_response, parse_use_id_response
from useid_middleware.eid.core.results import ClientMinor, Minor
from useid_middleware.eid.core.signing import NONCE_SIZE, VerifiedBody, sign_envelope, verify_envelope
from useid_middleware.eid.core.soap import CONTENT_TYPE
from useid_middleware.eid.core.tctoken import TCToken
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.failure import Failure
from useid_middleware.emulation.client.session import Session
from useid_middleware.emulation.pki import DEFAULT_RIGHTS, TerminalRequest, issue_terminal
from useid_middleware.emulation.pki_files import write_pki
from useid_middleware.emulation.server.material import TERMINAL
from useid_middleware.errors import EIDServerError
from useid_middleware.settings import EIDSettings

PSEUDONYM: Final = UseIDRequest({Operation.RESTRICTED_ID: Wish.REQUIRED})
#: READ_DG19, residence permits: what the terminal's certificate does not allow.
_NOT_ALLOWED: Final = 1 << 26


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Both servers. The terminal may not read residence permits."""
    country = found_country(tmp_path_factory.mktemp("country") / "pki", generations=1)
    few = TerminalRequest(rights=DEFAULT_RIGHTS & ~_NOT_ALLOWED)
    made = issue_terminal(country.pki, TERMINAL, request=few, now=datetime.now(UTC), random=token_bytes)
    write_pki(country.folder, made)
    service = Service(tmp_path_factory.mktemp("service"))
    with eid_server(country.folder, service=service) as told:
        service.configure(told)
        service.start()
        try:
            yield Place(service, told, country)
        finally:
            service.stop()


@pytest.fixture
def visitor(place: Place) -> Iterator[Browser]:
    """A browser at the eService."""
    with Browser(place.service.origin, trust=place.service.trust) as visitor:
        yield visitor


def test_a_whole_login_with_an_eid_server_somewhere_else(place: Place, visitor: Browser) -> None:
    holder = Holder(place.country)
    outcome = holder.use(visitor.start()["tcTokenUrl"])
    assert (outcome.code, outcome.is_ok) == ("", True)
    assert holder.met[-1] == ("TransmitResponse", "StartPAOSResponse")
    # The person was shown who asks: the eService, not the eID server.
    assert holder.person.shown is not None
    assert holder.person.shown.subject_url == place.service.origin
    assert visitor.open(outcome.address).status_code == 200
    told = visitor.told()
    assert told["user"]
    assert (told["acr"], told["attributes"]) == ("L3", {"GivenNames": "ERIKA"})


@pytest.mark.parametrize("personality", ["expired", "revoked"])
def test_the_eservice_hears_that_a_card_was_refused_when_the_browser_comes(
    place: Place, visitor: Browser, personality: str
) -> None:
    started = visitor.start()
    card = place.country.card(personality_named(personality))
    outcome = Holder(place.country, card=card).use(started["tcTokenUrl"])
    assert not outcome.is_ok
    # Only a SOAP call brings news from there, and for a client that failed there is none to make.
    assert visitor.status(started)["status"] == "scanned"
    assert ending_of(visitor.open(outcome.address)) == "failed"
    assert visitor.status(started)["reason"] == "failed"
    assert visitor.told()["user"] == ""


def test_the_eservice_does_not_believe_a_client_that_its_card_was_taken(place: Place, visitor: Browser) -> None:
    started = visitor.start()
    card = place.country.card(personality_named("revoked"))
    outcome = Holder(place.country, card=card).use(started["tcTokenUrl"])
    page = visitor.open(f"{outcome.address.partition('?')[0]}?ResultMajor=ok")
    assert ending_of(page) == "eid_server_refused"
    assert visitor.status(started)["reason"] == "document"
    assert visitor.told()["user"] == ""


def test_who_cancels_comes_back_to_a_page_that_says_so(place: Place, visitor: Browser) -> None:
    started = visitor.start()
    outcome = Holder(place.country, Person(agrees=False)).use(started["tcTokenUrl"])
    assert ending_of(visitor.open(outcome.address)) == "cancelled"
    assert visitor.status(started)["reason"] == "cancelled"


# ── every minor that an eService can meet ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def eid(place: Place) -> AsyncIterator[SoapEIDServer]:
    """What the eService asks the eID server with."""
    client = SoapEIDServer(EIDSettings.model_validate(place.told), clock=time.time, random_bytes=token_bytes)
    yield client
    await client.close()


async def minor_of(answer: Awaitable[object]) -> str:
    """With which minor the server refuses."""
    with pytest.raises(EIDServerError) as caught:
        await answer
    return caught.value.minor


def run_client(place: Place, session: UseIDSession, holder: Holder) -> str:
    """A client's dialogue in this session, from StartPAOS to its end; the minor that it is told, or tells."""
    token = TCToken(server_address=session.ecard_server_address, session_identifier=session.psk_id)
    # It has met the eService before.
    met = [ssl.PEM_cert_to_DER_cert(place.service.certificate.read_text())]
    address = f"{place.service.origin}/auth/eid/tctoken/1"
    try:
        return holder.run(Session(token, holder.known, tc_token_url=address, tls_certificates=met).run()).minor
    except Failure as failure:
        return failure.minor


async def test_a_result_is_given_once_and_to_the_next_number(place: Place, eid: SoapEIDServer) -> None:
    session = await eid.use_id(PSEUDONYM)
    assert await minor_of(eid.get_result(session.id, counter=1)) == Minor.NO_RESULT_YET
    assert run_client(place, session, Holder(place.country)) == ""
    result = await eid.get_result(session.id, counter=2)
    assert result.personal_data.restricted_id is not None
    assert await minor_of(eid.get_result(session.id, counter=3)) == Minor.INVALID_SESSION


REFUSED: Final = {
    "residence permits": (UseIDRequest({Operation.RESIDENCE_PERMIT_I: Wish.ALLOWED}), Minor.MISSING_TERMINAL_RIGHTS),
    "an age without years": (UseIDRequest({Operation.AGE_VERIFICATION: Wish.REQUIRED}), Minor.MISSING_ARGUMENT),
    "a place without community": (UseIDRequest({Operation.PLACE_VERIFICATION: Wish.REQUIRED}), Minor.MISSING_ARGUMENT),
    "an odd key": (replace(PSEUDONYM, psk="0" * 33), Minor.INVALID_PSK),
    "a short key": (replace(PSEUDONYM, psk="00"), Minor.INVALID_PSK),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_asked_is_refused(eid: SoapEIDServer, name: str) -> None:
    request, expected = REFUSED[name]
    assert await minor_of(eid.use_id(request)) == expected


async def test_a_wrong_number_ends_the_session(eid: SoapEIDServer) -> None:
    session = await eid.use_id(PSEUDONYM)
    assert await minor_of(eid.get_result(session.id, counter=2)) == Minor.INVALID_COUNTER
    assert await minor_of(eid.get_result(session.id, counter=1)) == Minor.INVALID_SESSION


async def test_a_session_that_never_was_is_not_there(eid: SoapEIDServer) -> None:
    assert await minor_of(eid.get_result("0" * 43, counter=1)) == Minor.INVALID_SESSION


FAILED: Final[dict[str, tuple[str, Person, str, Minor]]] = {
    "a revoked card": ("revoked", Person(), ClientMinor.INTERNAL_ERROR, Minor.INVALID_DOCUMENT),
    "an expired card": ("expired", Person(), ClientMinor.INTERNAL_ERROR, Minor.INVALID_DOCUMENT),
    "who does not want to": (
        "erika",
        Person(agrees=False),
        ClientMinor.CANCELLATION_BY_USER,
        Minor.INTERNAL_ERROR,
    ),
}


@pytest.mark.parametrize("name", FAILED)
async def test_an_authentication_that_failed_has_its_minor(place: Place, eid: SoapEIDServer, name: str) -> None:
    personality, person, told, expected = FAILED[name]
    session = await eid.use_id(PSEUDONYM)
    holder = Holder(place.country, person, place.country.card(personality_named(personality)))
    assert run_client(place, session, holder) == told
    assert await minor_of(eid.get_result(session.id, counter=1)) == expected


async def test_a_message_that_breaks_the_schema_ends_its_session(place: Place, eid: SoapEIDServer) -> None:
    session = await eid.use_id(PSEUDONYM)
    broken = build_request(GetResultRequest(session.id, 1))
    [counter] = [each for each in broken.iter() if local_name(each) == "RequestCounter"]
    counter.text = "one"
    certificate = x509.load_pem_x509_certificate(Path(place.told["signing_certificate"]).read_bytes())
    key = load_pem_private_key(Path(place.told["signing_key"]).read_bytes(), password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    signed = sign_envelope(broken, certificate=certificate, key=key, now=time.time(), nonce=token_bytes(NONCE_SIZE))
    assert refusal_in(await post(place, signed), place, parse_get_result_response) == Minor.SCHEMA_VIOLATION
    assert await minor_of(eid.get_result(session.id, counter=1)) == Minor.INVALID_SESSION


async def test_a_message_without_a_signature_is_refused(place: Place) -> None:
    answer = await post(place, serialize(build_request(PSEUDONYM)))
    assert refusal_in(answer, place, parse_use_id_response) == Minor.INTERNAL_ERROR


async def post(place: Place, message: bytes) -> bytes:
    """The answer to a message of the eService over mutual TLS."""
    context = ssl.create_default_context(cafile=place.told["ca_file"])
    context.load_cert_chain(place.told["tls_certificate"], place.told["tls_key"])
    async with httpx2.AsyncClient(verify=context) as http:
        answer = await http.post(place.told["server"], content=message, headers={"content-type": CONTENT_TYPE})
    assert answer.status_code == 200
    return answer.content


def refusal_in(answer: bytes, place: Place, parse: Callable[[VerifiedBody], object]) -> str:
    """The minor of a signed refusal."""
    certificate = x509.load_pem_x509_certificate(Path(place.told["server_signing_certificate"]).read_bytes())
    body = verify_envelope(answer, expected_certificates=[certificate], now=time.time())
    with pytest.raises(EIDServerError) as caught:
        parse(body)
    return caught.value.minor
