"""The pages on which a person logs in: the app's own form, and beside it what the plugin has."""

from html import escape
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from .layout import Visit, page


def login(visit: Visit, *, target: str, username: str = "", failed: bool = False) -> HTMLResponse:
    """The app's own password form and, beside it, the plugin's widget."""
    text = visit.text
    scripts = ["/auth/widget/useid-login.js", "/static/login.js"]
    autocomplete = "username"
    if not visit.passkeys_at:
        scripts.append("/auth/widget/useid-passkey.js")
        # Browsers offer passkeys in the field for the name, where it says so.
        autocomplete = "username webauthn"
    alert = f'<p class="alert" id="login-failed" role="alert">{text["login_failed"]}</p>' if failed else ""
    bound = f'<p class="hint">{text["bound_hint"]}</p>\n' if visit.is_bound else ""
    wrong = ' aria-invalid="true" aria-describedby="login-failed"' if failed else ""
    return page(
        visit,
        title=text["login_title"],
        status=403 if failed else 200,
        scripts=scripts,
        main=f"""\
<h1>{text["login_title"]}</h1>
<div class="ways">
<div class="stack">
<section class="card" aria-labelledby="by-password">
<h2 id="by-password">{text["by_password"]}</h2>
{alert}
<form class="fields" method="post" action="/login">
<input type="hidden" name="next" value="{escape(target)}">
<label for="username">{text["username"]}</label>
<input id="username" name="username" value="{escape(username)}" autocomplete="{autocomplete}" autocapitalize="none"\
 spellcheck="false" required maxlength="60"{wrong}>
<label for="password">{text["password"]}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="200"{wrong}>
<button class="button">{text["log_in"]}</button>
</form>
<p class="hint">{text["demo_account"]}</p>
</section>
{_passkey(visit, target)}{_providers(visit, target)}{_id_card(visit, target)}</div>
<p class="or">{text["or"]}</p>
<div class="by-phone">
<useid-login server="/auth" return-url="{escape(target)}">
<noscript><form class="card" method="post" action="/auth/plain">
<input type="hidden" name="returnUrl" value="{escape(target)}">
<button class="button">{text["no_script_login"]}</button></form></noscript>
</useid-login>
{bound}<p class="hint">{text["qr_hint"]}</p>
<p class="hint" id="qr-sent" role="status" data-text="{escape(text["qr_sent"])}"></p>
</div>
</div>""",
    )


def id_card(visit: Visit, *, target: str, mode: str) -> HTMLResponse:
    """The plugin's widget for ID cards, and the way to the emulated phone where there is one.

    ``mode`` is one of ``visit.eid_modes``, or empty to leave it to the widget.
    """
    text = visit.text
    chosen = f' mode="{mode}"' if mode else ""
    phone = f'<p class="hint">{text["eid_phone_hint"].format(phone=escape(visit.eid_phone))}</p>'
    sent = f'<p class="hint" id="qr-sent" role="status" data-text="{escape(text["eid_sent"])}"></p>'
    return page(
        visit,
        title=text["eid_title"],
        scripts=("/auth/widget/useid-eid.js", "/static/id-card.js"),
        main=f"""\
<h1>{text["login_title"]}</h1>
<p class="lead">{text["eid_lead"]}</p>
<div class="beside">
<div class="by-phone">
<useid-eid server="/auth" return-url="{escape(target)}"{chosen} data-phone="{escape(visit.eid_phone)}">
<noscript><form class="card" method="post" action="/auth/eid/plain">
<input type="hidden" name="returnUrl" value="{escape(target)}">
<button class="button">{text["eid_no_script"]}</button></form></noscript>
</useid-eid>
{phone + sent if visit.eid_phone else ""}</div>
{_modes(visit, target, mode)}</div>
<p><a href="/login?{escape(urlencode({"next": target}))}">{text["other_ways"]}</a></p>""",
    )


def _providers(visit: Visit, target: str) -> str:
    """A link for each OpenID provider."""
    links = "".join(
        f'<a class="button" href="/auth/login?{escape(urlencode({"provider": name, "return": target}))}">'
        f"{visit.text['provider'].format(provider=escape(label))}</a>\n"
        for name, label in visit.providers
    )
    if not links:
        return ""
    title = visit.text["by_provider"]
    return f"""\
<section class="card" aria-labelledby="by-provider"><h2 id="by-provider">{title}</h2>
<p class="actions">{links}</p></section>
"""


def _id_card(visit: Visit, target: str) -> str:
    """A link to the login with an ID card, where one can log in so."""
    if not visit.has_eid:
        return ""
    text = visit.text
    address = f"/id-card?{urlencode({'next': target})}"
    return f"""\
<section class="card" aria-labelledby="by-id-card"><h2 id="by-id-card">{text["by_id_card"]}</h2>
<p class="hint">{text["by_id_card_hint"]}</p>
<p class="actions"><a class="button" href="{escape(address)}">{text["eid_title"]}</a></p></section>
"""


def _modes(visit: Visit, target: str, mode: str) -> str:
    """A link for each way in which phone and computer share the login."""
    text = visit.text
    current = {mode: ' aria-current="page"'}
    links = "".join(
        f'<li><a href="/id-card?{escape(urlencode({"next": target, "mode": name}))}"{current.get(name, "")}>'
        f"{text[f'mode_{name}']}</a> <small>{text[f'mode_{name}_hint']}</small></li>\n"
        for name in visit.eid_modes
    )
    return f"""\
<nav class="card" aria-labelledby="modes"><h2 id="modes">{text["modes"]}</h2>
<ul class="modes">{links}</ul></nav>
"""


def _passkey(visit: Visit, target: str) -> str:
    """The plugin's element, which takes the user name from the form; nothing where browsers know no passkeys."""
    if visit.passkeys_at:
        return ""
    return f"""\
<useid-passkey server="/auth" for="username" return-url="{escape(target)}"></useid-passkey>
"""
