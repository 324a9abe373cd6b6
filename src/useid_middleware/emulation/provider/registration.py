"""Requests that machines send ahead of a login: registration (RFC 7591), PAR (RFC 9126), device codes (RFC 8628)."""

from dataclasses import replace
from typing import Any, Final

from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import html_response, json_response
from ...http.routing import Handler
from .authorization import AuthorizationRefused, read_request, single
from .browser_session import BrowserSessions
from .client_authentication import authenticate
from .clients import read_metadata
from .dpop import read_proof
from .forms import all_pairs, form_pairs
from .pages import device_page, message_page, policy_for
from .realm import Realm
from .records import DeviceRequest, Grant
from .refusals import OAuthError, invalid_request
from .request_objects import PUSHED_LIFETIME, PUSHED_PREFIX, resolve
from .texts import choose_texts

#: Letters that cannot be taken for others, and make no words (RFC 8628 §6.1).
_USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_USER_CODE_SIZE: Final = 8


class RegistrationRoutes:
    """Registration, pushed requests, and logins on devices without a browser."""

    def __init__(self, realm: Realm, sessions: BrowserSessions) -> None:
        self._realm = realm
        self._sessions = sessions

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "POST /register": self.register,
            "POST /par": self.push,
            "POST /device-authorization": self.device_authorization,
            "GET /device": self.device,
            "POST /device": self.decide,
        }

    async def register(self, request: Request) -> ASGIApp:
        """A new client, open to everybody: this is a provider for development."""
        if request.header(b"content-type").partition(";")[0].strip().lower() != "application/json":
            raise OAuthError("invalid_client_metadata", "Content-Type: expected application/json")
        client = read_metadata(await request.body())
        method = client.token_endpoint_auth_method
        secret = self._realm.new_id(32) if method.startswith("client_secret") else ""
        client = replace(client, client_id=self._realm.new_id(12), client_secret=secret, loopback=False)
        self._realm.clients[client.client_id] = client
        answer: dict[str, Any] = {
            "client_id": client.client_id,
            "client_id_issued_at": int(self._realm.now()),
            **dict(client.metadata()),
            "token_endpoint_auth_method": method,
        }
        if secret:
            answer |= {"client_secret": secret, "client_secret_expires_at": 0}
        return json_response(answer, status=201)

    async def push(self, request: Request) -> ASGIApp:
        """Keep an authorization request for the browser to name (RFC 9126 §2)."""
        realm = self._realm
        params = single(await form_pairs(request))
        client = await authenticate(realm, request, params)
        if "request_uri" in params:
            raise invalid_request("request_uri: not in a pushed request")
        jkt = read_proof(realm, request, needs_nonce=realm.policy.require_dpop_nonce)
        pushed, _ = await resolve(realm, {**params, "client_id": client.client_id}, client=client)
        if jkt and pushed.setdefault("dpop_jkt", jkt) != jkt:
            raise invalid_request("dpop_jkt: expected the key of the proof")
        try:
            read_request(pushed, client=client, policy=realm.policy, is_pushed=True)
        except AuthorizationRefused as refused:
            raise OAuthError(refused.code, refused.message) from None
        name, now = PUSHED_PREFIX + realm.new_id(), realm.now()
        kept = {key: value for key, value in pushed.items() if not key.startswith("client_") or key == "client_id"}
        realm.records.pushed.put(name, (client.client_id, kept), expires_at=now + PUSHED_LIFETIME, now=now)
        nonce = [(b"dpop-nonce", realm.dpop_nonce.encode())] if realm.policy.require_dpop_nonce else []
        return json_response({"request_uri": name, "expires_in": PUSHED_LIFETIME}, status=201, headers=nonce)

    async def device_authorization(self, request: Request) -> ASGIApp:
        """A code for the device and a code for the person (RFC 8628 §3.1)."""
        realm = self._realm
        params = single(await form_pairs(request))
        client = await authenticate(realm, request, params)
        now, lifetime = realm.now(), realm.policy.device_lifetime
        letters = [_USER_CODE_LETTERS[byte % 20] for byte in realm.random_bytes(_USER_CODE_SIZE)]
        user_code = "".join((*letters[:4], "-", *letters[4:]))
        device = DeviceRequest(
            device_code=realm.new_id(32),
            user_code=user_code,
            client_id=client.client_id,
            scopes=tuple(params.get("scope", "").split()),
            interval=realm.policy.device_interval,
        )
        realm.records.devices.put(device.device_code, device, expires_at=now + lifetime, now=now)
        return json_response(
            {
                "device_code": device.device_code,
                "user_code": user_code,
                "verification_uri": f"{realm.issuer}/device",
                "verification_uri_complete": f"{realm.issuer}/device?user_code={user_code}",
                "expires_in": lifetime,
                "interval": device.interval,
            }
        )

    async def device(self, request: Request) -> ASGIApp:
        """Where the person types the code."""
        return await self._show(request, single(await all_pairs(request)).get("user_code", ""), is_answer=False)

    async def decide(self, request: Request) -> ASGIApp:
        """The code, and then yes or no."""
        request.check_same_site()
        realm = self._realm
        form = single(await form_pairs(request))
        device = self._find(form.get("user_code", ""))
        action = form.get("action", "")
        if device is None or action not in ("allow", "deny"):
            return await self._show(request, form.get("user_code", ""), is_answer=True)
        texts = choose_texts(request.header(b"accept-language"))
        if action == "deny":
            realm.records.devices.change(device.device_code, replace(device, is_denied=True))
            return self._message(request, texts["device_denied"])
        person = realm.find_person(form.get("person", ""))
        if person is None:
            return await self._show(request, device.user_code, is_answer=True)
        grant = Grant(
            id=realm.new_id(),
            client_id=device.client_id,
            subject=person.subject,
            scopes=device.scopes,
            auth_time=int(realm.now()),
            acr=realm.policy.acr,
            amr=("user",),
        )
        realm.records.devices.change(device.device_code, replace(device, grant=grant))
        return self._message(request, texts["device_allowed"])

    async def _show(self, request: Request, user_code: str, *, is_answer: bool) -> ASGIApp:
        realm = self._realm
        device = self._find(user_code)
        session = self._sessions.find(request)
        is_failed = bool(user_code) and device is None and is_answer
        page = device_page(
            realm.prefix,
            choose_texts(request.header(b"accept-language")),
            user_code=device.user_code if device else user_code,
            is_failed=is_failed,
            client=realm.clients[device.client_id] if device else None,
            person=realm.people[session.subject] if session else None,
            people=tuple(realm.people.values()),
            scopes=device.scopes if device else (),
        )
        return html_response(page, status=400 if is_failed else 200, content_security_policy=policy_for())

    def _find(self, user_code: str) -> DeviceRequest | None:
        """The request that still waits for this code, however it was typed."""
        typed = "".join(letter for letter in user_code.upper() if letter.isalnum())
        for device in self._realm.records.devices.values(now=self._realm.now()):
            if device.user_code.replace("-", "") == typed and device.grant is None and not device.is_denied:
                return device
        return None

    def _message(self, request: Request, message: str) -> ASGIApp:
        texts = choose_texts(request.header(b"accept-language"))
        page = message_page(self._realm.prefix, texts, texts["device"], message)
        return html_response(page, content_security_policy=policy_for())
