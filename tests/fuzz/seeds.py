"""What parsers are meant to read, for a fuzzer to begin with: messages of whole logins, by the name of the target."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.eid import test_soap as soap
from tests.eid.world import SECRET
from tests.emulation.card.world import NOW, stream
from tests.emulation.client.website import LONGEST, TOKEN
from tests.emulation.server.world import EVERYTHING, Client, material
from tests.fuzz.served import whole_bodies, whole_requests
from tests.webauthn.authenticator import Authenticating, Registering
from tests.webauthn.statements import STATEMENTS
from tests.webauthn.test_metadata import blob, entry
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware._xml import serialize
from useid_middleware.audit.chain import GENESIS, append
from useid_middleware.eid.core.link import build_widget_link
from useid_middleware.eid.core.requests import build_request
from useid_middleware.eid.core.responses import build_response
from useid_middleware.eid.core.sealing import seal_refresh_url
from useid_middleware.eid.core.tctoken import build_tctoken, client_url
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.data_groups import encode_data_groups
from useid_middleware.emulation.card.library import names, personality_named
from useid_middleware.emulation.server.core import DRAWN_SIZE, advance
from useid_middleware.emulation.server.session import EACSession
from useid_middleware.qr.core.link import LinkType, build_link
from useid_middleware.webauthn.core import cbor
from useid_middleware.webauthn.core.sealing import seal_refresh_url as seal_bound_url

#: The key of a widget whose login is bound.
WIDGET_KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
#: The widget session that refresh addresses are sealed for.
SESSION_ID: Final = b64url(bytes(16))
_SERVER: Final = "https://app.example/auth"


def _dialogue() -> list[bytes]:
    """All messages of the longest way through PAOS, both ways."""
    session = EACSession("session", "psk", "", NOW.timestamp() + 300, variant=LONGEST, request=EVERYTHING)
    client, random = Client("psk"), stream("fuzz")
    message = client.start()
    while True:
        session, answer = advance(session, message, now=NOW.timestamp(), material=material(), drawn=random(DRAWN_SIZE))
        if isinstance(answer.body, paos.StartPAOSResponse):
            return [paos.encode(each) for each in (*client.sent, *client.received, answer)]
        message = client.respond(answer)


def _requests() -> list[bytes]:
    return [serialize(soap.payload_of(build_request(each))) for each in soap.REQUESTS]


def _responses() -> list[bytes]:
    return [serialize(soap.payload_of(build_response(each))) for each in soap.RESPONSES]


def _envelopes() -> list[bytes]:
    return [soap.SIGNER.sign(build_request(each)) for each in soap.REQUESTS]


def _tokens() -> list[bytes]:
    return [build_tctoken(TOKEN)]


def _links() -> list[bytes]:
    token_url = f"{_SERVER}/eid/tctoken/1"
    integrated = build_widget_link(tc_token_url=token_url, session_id=SESSION_ID, server=_SERVER)
    return [
        client_url(token_url).encode(),
        f"{integrated}#widgetSessionSecret={b64url(SECRET)}".encode(),
    ]


def _sealed() -> list[bytes]:
    sealed = seal_refresh_url(f"{_SERVER}/eid/refresh/1", secret=SECRET, session_id=SESSION_ID, nonce=bytes(12))
    return [sealed.encode()]


def _data_groups() -> list[bytes]:
    cards = [encode_data_groups(personality_named(name)) for name in names()]
    return sorted({content for groups in cards for content in groups.values()})


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@cache
def registered(statement: str = "none") -> Mapping[str, Any]:
    """A registration as a browser sends it, with the statement of this kind."""
    return _registering(statement).response()


def _registering(statement: str) -> Registering:
    return Registering(format=statement.replace("self", "packed"), statement=statement)


def _authenticator_data() -> list[bytes]:
    return [Registering().authenticator_data(), Registering(extensions={"credProtect": 2}).authenticator_data()]


def _attestations() -> list[bytes]:
    return [un_b64url_any(registered(each)["response"]["attestationObject"]) for each in STATEMENTS]


def _bound() -> list[bytes]:
    public_key = WIDGET_KEY.public_key().public_bytes_raw()
    return [seal_bound_url(f"{_SERVER}/refresh/1", public_key=public_key, session_id=SESSION_ID).encode()]


def _tpm_structures() -> list[bytes]:
    statement = cbor.decode(_attestations()[list(STATEMENTS).index("tpm")], name="seed")
    assert isinstance(statement, dict)
    parts: Any = statement["attStmt"]
    return [parts["pubArea"], parts["certInfo"]]


def _audit_log() -> list[bytes]:
    line, head = append(GENESIS, event="QRScanned", data={"session": "x"}, at=1.5, key=None)
    no_text = line.replace(head.hash.encode(), b"\\ud800")
    return [line.rstrip(b"\n"), line + append(head, event="QRExpired", data={}, at=2.5, key=None)[0], line + no_text]


_PHONE_LINK: Final = build_link(
    LinkType.AUTH,
    id=SESSION_ID,
    challenge=b64url(bytes(32)),
    server=_SERVER,
    frame=b64url(bytes(8)),
    scheme="tana",
    universal_link=None,
)

#: A header of each kind, a line each.
_FORWARDED: Final = b"""for=203.0.113.9;proto=https;host=app.example, for="[2001:db8::1]:4711"
203.0.113.9, 192.0.2.7
https
app.example
/shop"""

_XML: Final = (_dialogue, _requests, _responses, _envelopes, _tokens)

SEEDS: Final[Mapping[str, Callable[[], list[bytes]]]] = {
    "xml": lambda: [each for seeds in _XML for each in seeds()],
    "paos": _dialogue,
    "soap-request": _requests,
    "soap-response": _responses,
    "soap-signature": _envelopes,
    "tctoken": _tokens,
    "client-link": _links,
    "link": lambda: [_PHONE_LINK.encode()],
    "bound-address": _bound,
    "request": whole_requests,
    "body": whole_bodies,
    "forwarded": lambda: [_FORWARDED],
    "cookie": lambda: [b"a=b; useid-session=" + b"A" * 43 + b"; __Host-useid-session=" + b"B" * 43],
    "redirect": lambda: [b"/orders?page=2", b"https://app.example/orders"],
    "token-url": lambda: [b"https://shop.example/eid/tctoken?x=1"],
    "language": lambda: [b"de-AT;q=0.8, en;q=0.5, *;q=0.1"],
    "code": lambda: [b"123 456"],
    "label": lambda: ["Jürgens Telefon".encode()],
    "client-data": lambda: [json.dumps(Authenticating().client_data).encode()],
    "assertion": lambda: [un_b64url_any(Authenticating().response()["response"]["authenticatorData"])],
    "tpm": _tpm_structures,
    "audit-log": _audit_log,
    "sealed-address": _sealed,
    "data-group": _data_groups,
    "registration": lambda: [_json(registered(each)) for each in STATEMENTS],
    "authentication": lambda: [_json(Authenticating().response())],
    "cbor": _attestations,
    "authenticator-data": _authenticator_data,
    "attestation": _attestations,
    "authenticator-metadata": lambda: [blob(entry())],
}


def seeds_of(name: str) -> list[bytes]:
    """The seeds of a target; none where a fuzzer finds its way without."""
    return SEEDS[name]() if name in SEEDS else []
