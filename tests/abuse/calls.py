"""Each call that something counts, as somebody makes it who does not stop; docs/howto/abuse.md lists them."""

from typing import Any, Final

from tests.abuse.world import Call, Scene
from tests.actors import Answer
from useid_middleware._codec import b64url

#: Of no record, but well-formed.
ID: Final = "A" * 22
TOKEN: Final = "A" * 44
SEALED: Final = {"sealedRefreshUrl": b64url(bytes(100))}


def answer_body(scene: Scene) -> dict[str, Any]:
    """An answer that nobody has signed."""
    return {
        "sessionId": scene.session_id,
        "keyId": b64url(scene.phone.key_id),
        "publicKey": b64url(scene.phone.public_key),
        "signature": b64url(bytes(64)),
        "issuedAt": scene.phone.issued_at(),
    }


async def prove(scene: Scene) -> Answer:
    """A proof that does not hold, so that the enrolment waits on."""
    body = {
        "publicKey": b64url(scene.phone.public_key),
        "signature": b64url(bytes(64)),
        "label": "Phone",
        "issuedAt": scene.phone.issued_at(),
    }
    return await scene.phone.post(f"/devices/enrol/{scene.enrolment['enrolmentId']}", body)


async def register_passkey(scene: Scene) -> Answer:
    """A ceremony that nobody began."""
    return await scene.alice.post("/passkeys", {"ceremonyId": ID, "credential": {}})


async def register_temporary(scene: Scene) -> Answer:
    """A credential for the temporary account."""
    credential = scene.authenticator.create(scene.account["options"])
    return await scene.put(f"/webauthn/accounts/{scene.account['userId']}", {"credential": credential})


async def assert_temporary(scene: Scene) -> Answer:
    """An assertion that has nothing to do with it, in the browser that began."""
    passkey = scene.authenticator.credentials[0]
    options = {"challenge": b64url(bytes(32)), "rpId": "localhost", "allowCredentials": []}
    credential = scene.authenticator.get(options, credential=passkey)
    path = f"/webauthn/accounts/{scene.account['userId']}/assertions"
    return await scene.desktop.post(path, {"credential": credential})


CALLS: Final[dict[str, Call]] = {
    "POST /session/create": lambda scene: scene.desktop.post("/session/create"),
    "POST /plain": lambda scene: scene.form("/plain"),
    "GET /session/{id}": lambda scene: scene.desktop.get(f"/session/{scene.session_id}"),
    "GET /session/{id}/qr.svg": lambda scene: scene.desktop.get(f"/session/{scene.session_id}/qr.svg"),
    "GET /plain/{id}": lambda scene: scene.desktop.get(f"/plain/{scene.session_id}"),
    "GET /session/{id}/events": lambda scene: scene.desktop.get(f"/session/{scene.session_id}/events"),
    "POST /session/{id}": lambda scene: scene.phone.scan(scene.link),
    "POST /approve": lambda scene: scene.phone.post("/approve", answer_body(scene)),
    "POST /reject": lambda scene: scene.phone.post("/reject", answer_body(scene)),
    "POST /session/{id}/claim": lambda scene: scene.desktop.post(
        f"/session/{scene.session_id}/claim", {"code": "123456"}
    ),
    "POST /plain/{id}": lambda scene: scene.form(f"/plain/{scene.session_id}", code="123456"),
    "GET /session/refresh/{token}": lambda scene: scene.desktop.get(f"/session/refresh/{TOKEN}"),
    "POST /devices/enrol": lambda scene: scene.alice.post("/devices/enrol"),
    "GET /devices/enrol/{id}": lambda scene: scene.alice.get(f"/devices/enrol/{scene.enrolment['enrolmentId']}"),
    "GET /devices": lambda scene: scene.alice.get("/devices"),
    "GET /devices/enrol/{id}/events": lambda scene: scene.alice.get(
        f"/devices/enrol/{scene.enrolment['enrolmentId']}/events"
    ),
    "POST /devices/enrol/{id}": prove,
    "POST /devices/enrol/{id}/confirm": lambda scene: scene.alice.post(
        f"/devices/enrol/{scene.enrolment['enrolmentId']}/confirm", {"code": "123456"}
    ),
    "DELETE /devices/{id}": lambda scene: scene.alice.delete(f"/devices/{ID}"),
    "GET /sessions": lambda scene: scene.alice.get("/sessions"),
    "DELETE /sessions": lambda scene: scene.alice.delete("/sessions"),
    "DELETE /sessions/{id}": lambda scene: scene.alice.delete(f"/sessions/{ID}"),
    "GET /sessions/current/events": lambda scene: scene.alice.get("/sessions/current/events"),
    "POST /eid/start": lambda scene: scene.desktop.post("/eid/start"),
    "POST /eid/plain": lambda scene: scene.form("/eid/plain"),
    "GET /eid/session/{id}": lambda scene: scene.desktop.get(f"/eid/session/{scene.eid['sessionId']}"),
    "GET /eid/session/{id}/events": lambda scene: scene.desktop.get(f"/eid/session/{scene.eid['sessionId']}/events"),
    "GET /eid/phone/{token}": lambda scene: scene.desktop.get(f"/eid/phone/{TOKEN}"),
    "POST /eid/session/{id}/claim": lambda scene: scene.desktop.post(
        f"/eid/session/{scene.eid['sessionId']}/claim", {"code": "123456"}
    ),
    "POST /eid/session/{id}/sealed": lambda scene: scene.phone.post(f"/eid/session/{ID}/sealed", SEALED),
    "GET /eid/tctoken/{token}": lambda scene: scene.phone.client.get(f"/eid/tctoken/{TOKEN}"),
    "POST /eid/phone/{token}": lambda scene: scene.form(f"/eid/phone/{TOKEN}"),
    "GET /eid/refresh/{token}": lambda scene: scene.desktop.get(f"/eid/refresh/{TOKEN}?ResultMajor=ok"),
    "POST /passkeys/login/options": lambda scene: scene.desktop.post("/passkeys/login/options", {"username": "alice"}),
    "POST /passkeys/login": lambda scene: scene.desktop.post("/passkeys/login", {"ceremonyId": ID, "credential": {}}),
    "POST /passkeys/options": lambda scene: scene.alice.post("/passkeys/options"),
    "POST /passkeys/step-up/options": lambda scene: scene.alice.post("/passkeys/step-up/options"),
    "POST /passkeys": register_passkey,
    "POST /passkeys/step-up": lambda scene: scene.alice.post("/passkeys/step-up", {"ceremonyId": ID, "credential": {}}),
    "PATCH /passkeys/{id}": lambda scene: scene.put(f"/passkeys/{ID}", {"label": "Key"}, "PATCH", scene.alice),
    "DELETE /passkeys/{id}": lambda scene: scene.alice.delete(f"/passkeys/{ID}"),
    "GET /passkeys": lambda scene: scene.alice.get("/passkeys"),
    "POST /webauthn/accounts": lambda scene: scene.open_account(scene.phone),
    "PUT /webauthn/accounts/{id}": register_temporary,
    "POST /webauthn/accounts/{id}/assertions": assert_temporary,
    "GET /login": lambda scene: scene.desktop.get("/login?provider=op"),
    "GET /initiate": lambda scene: scene.desktop.get("/initiate?iss=http%3A%2F%2F127.0.0.1%3A9000"),
    "POST /initiate": lambda scene: scene.form("/initiate", iss="http%3A%2F%2F127.0.0.1%3A9000"),
    "GET /callback": lambda scene: scene.desktop.get(f"/callback?code=x&state={'A' * 43}"),
    "POST /callback": lambda scene: scene.form("/callback", code="x", state="A" * 43),
    "GET /session-monitor/renew": lambda scene: scene.alice.get("/session-monitor/renew"),
    "GET /logout/done": lambda scene: scene.desktop.get(f"/logout/done?state={'A' * 43}"),
    "GET /frontchannel-logout": lambda scene: scene.desktop.get(
        "/frontchannel-logout?iss=http%3A%2F%2F127.0.0.1%3A9000&sid=aaaaaaaaaaaaaaaaaaaaaaaa"
    ),
    "POST /backchannel-logout": lambda scene: scene.form("/backchannel-logout", logout_token="a.b.c"),
    "GET /request-object/{handle}": lambda scene: scene.desktop.get(f"/request-object/{'A' * 43}"),
    "GET /session-monitor": lambda scene: scene.alice.get("/session-monitor"),
    "GET /profile": lambda scene: scene.alice.get("/profile"),
}

#: Where each event stream is.
STREAMS: Final[dict[str, Any]] = {
    "GET /session/{id}/events": lambda scene: (scene.desktop, f"/session/{scene.session_id}/events"),
    "GET /devices/enrol/{id}/events": lambda scene: (
        scene.alice,
        f"/devices/enrol/{scene.enrolment['enrolmentId']}/events",
    ),
    "GET /sessions/current/events": lambda scene: (scene.alice, "/sessions/current/events"),
    "GET /eid/session/{id}/events": lambda scene: (scene.desktop, f"/eid/session/{scene.eid['sessionId']}/events"),
}
