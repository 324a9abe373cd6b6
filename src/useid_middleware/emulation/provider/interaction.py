"""The authorization endpoint and the pages behind it: log in, allow, go back."""

from dataclasses import replace
from typing import Final

from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import html_response, redirect
from ...http.routing import Handler, not_found
from . import jose
from .authorization import AuthorizationRefused, Step, choose_acr, next_step, read_request, single
from .authorization_response import respond
from .browser_session import BrowserSessions
from .clients import Client
from .forms import all_pairs, form_pairs
from .grants import issue_code, issue_front_channel
from .pages import consent_page, form_action, login_page, policy_for
from .people import PASSWORD, Person
from .realm import Realm
from .records import AuthorizationRequest, Grant, Interaction, Session
from .refusals import invalid_request
from .request_objects import resolve
from .texts import choose_texts

#: How a person proves to be one of the test people (RFC 8176): by password, or by pressing a button.
_BY_PASSWORD: Final = ("pwd",)
_BY_BUTTON: Final = ("user",)


class InteractionRoutes:
    """What a person sees on the way from one application to the provider and back."""

    def __init__(self, realm: Realm, sessions: BrowserSessions) -> None:
        self._realm = realm
        self._sessions = sessions

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /authorize": self.authorize,
            "POST /authorize": self.authorize,
            "GET /interaction/{id}": self.show,
            "POST /interaction/{id}": self.act,
        }

    async def authorize(self, request: Request) -> ASGIApp:
        """The authorization endpoint (OpenID Connect Core 1.0 §3.1.2)."""
        params = single(await all_pairs(request))
        client = self._realm.clients.get(params.get("client_id", ""))
        if client is None:
            raise invalid_request("client_id: expected a client that the provider knows")
        params, is_pushed = await resolve(self._realm, params, client=client)
        try:
            asked = read_request(
                params,
                client=client,
                policy=self._realm.policy,
                is_pushed=is_pushed,
                hinted_subject=self._hinted_subject(params.get("id_token_hint", "")),
            )
        except AuthorizationRefused as refused:
            return await self._refuse(refused)
        now = self._realm.now()
        interaction = Interaction(self._realm.new_id(), asked)
        lifetime = self._realm.policy.interaction_lifetime
        self._realm.records.interactions.put(interaction.id, interaction, expires_at=now + lifetime, now=now)
        return await self._advance(request, interaction, must_move=True)

    async def show(self, request: Request) -> ASGIApp:
        """The page that the interaction is at; once nothing is missing, the way back."""
        return await self._advance(request, self._interaction(request), must_move=False)

    async def act(self, request: Request) -> ASGIApp:
        """What the person pressed."""
        request.check_same_site()
        interaction = self._interaction(request)
        form = single(await form_pairs(request))
        action = form.get("action", "")
        if action in ("cancel", "deny"):
            self._realm.records.interactions.take(interaction.id, now=self._realm.now())
            return await self._refuse(
                AuthorizationRefused("access_denied", "the person did not agree", request=interaction.request)
            )
        if action == "allow":
            return self._allow(request, interaction, is_remembered=form.get("remember") == "yes")
        if action == "continue":
            self._realm.records.interactions.change(interaction.id, replace(interaction, is_chosen=True))
            return redirect(f"{self._realm.prefix}/interaction/{interaction.id}")
        person = self._realm.find_person(form.get("person") or form.get("username", ""))
        if person is None or ("person" not in form and form.get("password") != PASSWORD):
            return self._login_page(request, interaction, username=form.get("username", ""), is_failed=True)
        amr = _BY_BUTTON if "person" in form else _BY_PASSWORD
        return self._log_in(request, interaction, person, amr=amr, is_remembered=form.get("remember") == "yes")

    def _log_in(
        self, request: Request, interaction: Interaction, person: Person, *, amr: tuple[str, ...], is_remembered: bool
    ) -> ASGIApp:
        realm = self._realm
        now = int(realm.now())
        current = self._sessions.find(request)
        if current is not None and current.subject != person.subject:
            realm.records.sessions.take(current.id, now=now)
            current = None
        session = Session(
            id=realm.new_id() if current is None else current.id,
            sid=realm.new_id(16) if current is None else current.sid,
            subject=person.subject,
            auth_time=now,
            acr=choose_acr(interaction.request.acr_values, default=realm.policy.acr),
            amr=amr,
            browser_state=realm.new_id(16) if current is None else current.browser_state,
            client_ids=() if current is None else current.client_ids,
        )
        realm.records.interactions.change(interaction.id, replace(interaction, login_at=now))
        headers = self._sessions.begin(session, is_remembered=is_remembered)
        return redirect(f"{realm.prefix}/interaction/{interaction.id}", headers=headers)

    def _allow(self, request: Request, interaction: Interaction, *, is_remembered: bool) -> ASGIApp:
        realm = self._realm
        session = self._sessions.find(request)
        if session is not None and is_remembered:
            key = (session.subject, interaction.request.client_id)
            known = realm.records.consents.get(key, frozenset())
            realm.records.consents[key] = known.union(interaction.request.scopes)
        realm.records.interactions.change(interaction.id, replace(interaction, is_consented=True))
        return redirect(f"{realm.prefix}/interaction/{interaction.id}")

    async def _advance(self, request: Request, interaction: Interaction, *, must_move: bool) -> ASGIApp:
        """Show what is missing. ``must_move``: at an address of its own, which can be loaded again."""
        realm = self._realm
        asked = interaction.request
        session = self._sessions.find(request)
        person = realm.people[session.subject] if session is not None else None
        try:
            step = next_step(
                asked,
                session=session,
                person=person,
                login_at=interaction.login_at,
                is_chosen=interaction.is_chosen,
                is_consented=interaction.is_consented or self._is_consented(asked, session),
                now=realm.now(),
            )
        except AuthorizationRefused as refused:
            realm.records.interactions.take(interaction.id, now=realm.now())
            return await self._refuse(refused)
        if step is Step.DONE and session is not None and person is not None:
            realm.records.interactions.take(interaction.id, now=realm.now())
            return await self._complete(asked, session, person)
        if must_move:
            return redirect(f"{realm.prefix}/interaction/{interaction.id}")
        if step is Step.CONSENT and person is not None:
            page = consent_page(
                realm.prefix,
                f"{realm.prefix}/interaction/{interaction.id}",
                choose_texts(asked.ui_locales, request.header(b"accept-language")),
                client=self._client(asked),
                person=person,
                scopes=asked.scopes,
            )
            return html_response(page, content_security_policy=self._policy(asked))
        return self._login_page(request, interaction, username=asked.login_hint, is_failed=False)

    def _login_page(self, request: Request, interaction: Interaction, *, username: str, is_failed: bool) -> ASGIApp:
        realm = self._realm
        asked = interaction.request
        session = self._sessions.find(request)
        is_choice = "select_account" in asked.prompts and not interaction.is_chosen
        current = realm.people[session.subject] if session is not None and is_choice else None
        page = login_page(
            realm.prefix,
            f"{realm.prefix}/interaction/{interaction.id}",
            choose_texts(asked.ui_locales, request.header(b"accept-language")),
            client=self._client(asked),
            people=tuple(realm.people.values()),
            current=current,
            username=username,
            is_failed=is_failed,
        )
        return html_response(page, status=400 if is_failed else 200, content_security_policy=self._policy(asked))

    async def _complete(self, asked: AuthorizationRequest, session: Session, person: Person) -> ASGIApp:
        realm = self._realm
        client = self._client(asked)
        if client.client_id not in session.client_ids:
            session = replace(session, client_ids=(*session.client_ids, client.client_id))
            realm.records.sessions.change(session.id, session)
        grant = Grant(
            id=realm.new_id(),
            client_id=client.client_id,
            subject=person.subject,
            scopes=asked.scopes,
            auth_time=session.auth_time,
            acr=session.acr,
            amr=session.amr,
            sid=session.sid,
            nonce=asked.nonce,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            claims=asked.claims,
            jkt=asked.dpop_jkt,
        )
        params = []
        code = issue_code(realm, grant) if asked.returns("code") else ""
        if code:
            params.append(("code", code))
        params += await issue_front_channel(realm, asked, grant, person=person, code=code)
        state = self._sessions.session_state(session, client_id=client.client_id, redirect_uri=asked.redirect_uri)
        if state and "openid" in asked.scopes:
            params.append(("session_state", state))
        return await respond(realm, asked, params)

    async def _refuse(self, refused: AuthorizationRefused) -> ASGIApp:
        params = [("error", refused.code), ("error_description", refused.message)]
        return await respond(self._realm, refused.request, params)

    def _interaction(self, request: Request) -> Interaction:
        found = self._realm.records.interactions.get(request.params["id"], now=self._realm.now())
        if found is None:
            raise not_found()
        return found

    def _client(self, asked: AuthorizationRequest) -> Client:
        return self._realm.clients[asked.client_id]

    def _is_consented(self, asked: AuthorizationRequest, session: Session | None) -> bool:
        if "consent" in asked.prompts:
            return False
        if self._realm.policy.consent == "skip":
            return True
        known = self._realm.records.consents.get((session.subject if session else "", asked.client_id), frozenset())
        return known.issuperset(asked.scopes)

    def _hinted_subject(self, token: str) -> str:
        """Whom an ``id_token_hint`` names; nobody where it is not a token of ours."""
        if not token:
            return ""
        try:
            _, claims = jose.verify(token, keys=self._realm.keys.known(), expected_algorithms=jose.ASYMMETRIC)
        except jose.TokenRefused:
            return ""
        return str(claims.get("sub", ""))

    @staticmethod
    def _policy(asked: AuthorizationRequest) -> str:
        return policy_for(form_action=form_action(asked.redirect_uri))
