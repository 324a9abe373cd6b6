"""The end of a session, wherever it starts, and everybody who must hear of it.

RP-Initiated Logout 1.0, Back-Channel Logout 1.0, Front-Channel Logout 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import html_response, redirect
from ...http.routing import Handler
from . import jose
from .authorization import single
from .authorization_response import join
from .browser_session import BrowserSessions
from .forms import all_pairs, form_pairs
from .injection import FRONTCHANNEL, LOGOUT_TOKEN, POST_LOGOUT, Pairs
from .keys import Unsigned
from .pages import form_action, frames_page, logout_page, message_page, policy_for
from .realm import Realm
from .records import Session
from .refusals import invalid_request
from .texts import choose_texts
from .tokens import logout_token_claims

#: The ``typ`` of a logout token (Back-Channel Logout 1.0 §2.4).
LOGOUT_TYPE: Final = "logout+jwt"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One back-channel logout that was sent. ``status`` is the answer's, 0 where there was none."""

    client_id: str
    url: str
    logout_token: str
    status: int


@dataclass(frozen=True, slots=True)
class _Wish:
    """A logout that somebody asked for: by which client, for whom (as the hint proves), and where to go then."""

    client_id: str = ""
    subject: str = ""
    sid: str = ""
    target: str = ""


class LogoutRoutes:
    """``/end-session``, and what it does to the applications."""

    def __init__(self, realm: Realm, sessions: BrowserSessions) -> None:
        self._realm = realm
        self._sessions = sessions
        #: Every back-channel logout so far, the latest last.
        self.deliveries: list[Delivery] = []

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /end-session": self.end_session,
            "POST /end-session": self.end_session,
            "POST /end-session/confirm": self.confirm,
        }

    async def end_session(self, request: Request) -> ASGIApp:
        """RP-Initiated Logout §2: at once with a good hint for the session at hand, else after asking."""
        params = single(await all_pairs(request))
        wish = self._read(params)
        session = self._sessions.find(request)
        if session is not None and (wish.subject != session.subject or (wish.sid and wish.sid != session.sid)):
            return self._ask(request, session, params, wish)
        return await self._finish(request, session, wish)

    async def confirm(self, request: Request) -> ASGIApp:
        """The person's answer."""
        request.check_same_site()
        form = single(await form_pairs(request))
        wish = self._read(form)
        if form.get("action") == "logout":
            return await self._finish(request, self._sessions.find(request), wish)
        texts = choose_texts(form.get("ui_locales", ""), request.header(b"accept-language"))
        page = message_page(self._realm.prefix, texts, texts["logout"], texts["stayed"], link=wish.target)
        return html_response(page, content_security_policy=policy_for())

    async def end(self, session: Session) -> list[str]:
        """End ``session`` and tell its clients over the back channel; the front channel's addresses are returned."""
        realm = self._realm
        now = realm.now()
        realm.records.sessions.take(session.id, now=now)
        for shelf in (realm.records.access_tokens, realm.records.refresh_tokens):
            for key, token in shelf.items(now=now):
                if token.grant.sid == session.sid and "offline_access" not in token.grant.scopes:
                    shelf.take(key, now=now)
        frames = []
        for client_id in session.client_ids:
            client = realm.clients[client_id]
            if client.backchannel_logout_uri:
                await self._deliver(session, client_id, client.backchannel_logout_uri)
            if client.frontchannel_logout_uri:
                params: Pairs = []
                if client.frontchannel_logout_session_required:
                    params = [("iss", realm.issuer), ("sid", session.sid)]
                params = realm.apply(FRONTCHANNEL, params, client_id=client_id)
                frames.append(join(client.frontchannel_logout_uri, params))
        return frames

    async def _deliver(self, session: Session, client_id: str, url: str) -> None:
        realm = self._realm
        client = realm.clients[client_id]
        claims = logout_token_claims(
            issuer=realm.issuer,
            client_id=client_id,
            subject=session.subject,
            sid=session.sid,
            jti=realm.new_id(16),
            now=int(realm.now()),
        )
        alg = client.id_token_signed_response_alg or realm.policy.signing_algorithm
        token = realm.sign(Unsigned(claims, alg, typ=LOGOUT_TYPE), LOGOUT_TOKEN, client=client)
        status = await realm.post(url, {"logout_token": token})
        self.deliveries.append(Delivery(client_id, url, token, status))

    async def _finish(self, request: Request, session: Session | None, wish: _Wish) -> ASGIApp:
        realm = self._realm
        frames = await self.end(session) if session is not None else []
        texts = choose_texts(request.header(b"accept-language"))
        headers = self._sessions.forget()
        if frames:
            policy = policy_for(script=True, frames=[form_action(frame) for frame in frames])
            page = frames_page(realm.prefix, texts, frames=frames, target=wish.target)
            return html_response(page, content_security_policy=policy, headers=headers)
        if wish.target:
            return redirect(wish.target, headers=headers)
        page = message_page(realm.prefix, texts, texts["logged_out"])
        return html_response(page, content_security_policy=policy_for(), headers=headers)

    def _ask(self, request: Request, session: Session, params: Mapping[str, str], wish: _Wish) -> ASGIApp:
        realm = self._realm
        texts = choose_texts(params.get("ui_locales", ""), request.header(b"accept-language"))
        question = texts["logout_question"]
        if wish.client_id:
            names = {"client": realm.clients[wish.client_id].name, "name": realm.people[session.subject].name}
            question = texts["logout_question_for"].format(**names)
        fields = {name: params[name] for name in _KEPT if name in params}
        page = logout_page(realm.prefix, texts, question=question, fields=fields)
        policy = policy_for(form_action=form_action(wish.target) if wish.target else "")
        return html_response(page, content_security_policy=policy)

    def _read(self, params: Mapping[str, str]) -> _Wish:
        """The checked parameters. An expired hint is a good hint (§2); a foreign one is refused."""
        realm = self._realm
        subject = sid = ""
        client_id = params.get("client_id", "")
        if params.get("id_token_hint"):
            try:
                _, claims = jose.verify(
                    params["id_token_hint"], keys=realm.keys.known(), expected_algorithms=jose.ASYMMETRIC
                )
            except jose.TokenRefused as error:
                raise invalid_request(f"id_token_hint: {error}") from None
            subject, sid, audience = str(claims.get("sub", "")), str(claims.get("sid", "")), str(claims.get("aud", ""))
            if client_id and client_id != audience:
                raise invalid_request("client_id: expected the audience of the id_token_hint")
            client_id = audience
        client = realm.clients.get(client_id)
        if client_id and client is None:
            raise invalid_request("client_id: expected a client that the provider knows")
        target = params.get("post_logout_redirect_uri", "")
        if target and (client is None or not client.allows_post_logout_redirect(target)):
            raise invalid_request("post_logout_redirect_uri: expected one that the client registered")
        if target:
            state: Pairs = [("state", params["state"])] if "state" in params else []
            target = join(target, realm.apply(POST_LOGOUT, state, client_id=client_id))
        return _Wish(client_id, subject, sid, target)


_KEPT: Final = ("client_id", "id_token_hint", "post_logout_redirect_uri", "state", "ui_locales")
