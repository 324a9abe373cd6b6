"""The way back: the authorization response in each of its modes.

OAuth 2.0 Multiple Response Type Encoding Practices §2.1, Form Post Response Mode, JARM (JWT Secured Authorization
Response Mode) and the ``iss`` parameter of RFC 9207.
"""

from typing import Final
from urllib.parse import urlencode

from ...http.responses import Response, html_response, redirect
from .injection import CALLBACK, JARM, Pairs
from .keys import Unsigned
from .pages import form_action, policy_for, post_page
from .realm import Realm
from .records import AuthorizationRequest

#: Seconds that a signed response is good for.
JARM_LIFETIME: Final = 600


async def respond(realm: Realm, request: AuthorizationRequest, params: Pairs) -> Response:
    """Send the browser back with ``params``, and with ``state`` and ``iss`` as every response has them."""
    client = realm.clients[request.client_id]
    if request.state:
        params = [*params, ("state", request.state)]
    mode, _, jwt = request.response_mode.partition(".")
    if not jwt:
        params = [*params, ("iss", realm.issuer)]
    params = realm.apply(CALLBACK, params, client_id=client.client_id)
    if jwt:
        now = int(realm.now())
        claims = {**dict(params), "iss": realm.issuer, "aud": client.client_id, "iat": now, "exp": now + JARM_LIFETIME}
        alg = client.authorization_signed_response_alg or realm.policy.signing_algorithm
        token = realm.sign(Unsigned(claims, alg), JARM, client=client)
        response = await realm.seal(
            token,
            client=client,
            alg=client.authorization_encrypted_response_alg,
            enc=client.authorization_encrypted_response_enc,
        )
        params = [("response", response)]
    if mode == "form_post":
        policy = policy_for(form_action=form_action(request.redirect_uri), script=True)
        page = post_page(realm.prefix, request.redirect_uri, params, language=request.ui_locales)
        return html_response(page, content_security_policy=policy)
    return redirect(join(request.redirect_uri, params, fragment=mode == "fragment"))


def join(uri: str, params: Pairs, *, fragment: bool = False) -> str:
    """``uri`` with parameters added to its query, or as its fragment."""
    if not params:
        return uri
    if fragment:
        return f"{uri}#{urlencode(params)}"
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(params)}"
