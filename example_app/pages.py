"""The app's pages: plain functions from what is to be shown to a response. What came from outside is escaped."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlencode

from starlette.responses import HTMLResponse

from .layout import Visit, page


def home(visit: Visit) -> HTMLResponse:
    """The landing page."""
    text = visit.text
    if visit.username:
        hello = text["hello"].format(username=escape(visit.username))
        lead = text["hello_lead"].format(acr=f'<b id="acr">{escape(visit.acr)}</b>')
        note = f'<p class="notice" id="new-user" role="status">{text["new_user"]}</p>' if visit.is_new else ""
        hero = f"""\
<h1>{hello}</h1>
{note if not visit.roles else ""}
<p class="lead">{lead} {_level(visit)}.</p>
<p class="actions"><a class="button" href="/protected">{text["see_protected"]}</a>
<a class="button quiet" href="/phones">{text["see_phones"]}</a></p>"""
    else:
        hero = f"""\
<h1>{text["home_title"]}</h1>
<p class="lead">{text["home_lead"]}</p>
<p class="actions"><a class="button" href="/login">{text["log_in"]}</a></p>"""
    names = ["step_password", "step_phone", "step_enrol", "step_qr", *(["step_eid"] if visit.has_eid else [])]
    steps = "".join(f"<li><p>{text[name]}</p></li>" for name in names)
    return page(
        visit,
        title=text["home_title"],
        main=f"""\
<div class="hero">{hero}</div>
<section class="card" aria-labelledby="steps"><h2 id="steps">{text["steps"]}</h2>
<ol class="steps">{steps}</ol></section>""",
    )


def login(visit: Visit, *, target: str, username: str = "", failed: bool = False) -> HTMLResponse:
    """The app's own password form and, beside it, the plugin's widget."""
    text = visit.text
    alert = f'<p class="alert" id="login-failed" role="alert">{text["login_failed"]}</p>' if failed else ""
    wrong = ' aria-invalid="true" aria-describedby="login-failed"' if failed else ""
    return page(
        visit,
        title=text["login_title"],
        status=403 if failed else 200,
        scripts=("/auth/widget/useid-login.js", "/static/login.js"),
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
<input id="username" name="username" value="{escape(username)}" autocomplete="username" autocapitalize="none"\
 spellcheck="false" required maxlength="60"{wrong}>
<label for="password">{text["password"]}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="200"{wrong}>
<button class="button">{text["log_in"]}</button>
</form>
<p class="hint">{text["demo_account"]}</p>
</section>
{_providers(visit, target)}{_id_card(visit, target)}</div>
<p class="or">{text["or"]}</p>
<div class="by-phone">
<useid-login server="/auth" return-url="{escape(target)}">
<noscript><form class="card" method="post" action="/auth/plain">
<input type="hidden" name="returnUrl" value="{escape(target)}">
<button class="button">{text["no_script_login"]}</button></form></noscript>
</useid-login>
<p class="hint">{text["qr_hint"]}</p>
<p class="hint" id="qr-sent" role="status" data-text="{escape(text["qr_sent"])}"></p>
</div>
</div>""",
    )


def id_card(visit: Visit, *, target: str) -> HTMLResponse:
    """The plugin's widget for ID cards, and the way to the emulated phone where there is one."""
    text = visit.text
    phone = f'<p class="hint">{text["eid_phone_hint"].format(phone=escape(visit.eid_phone))}</p>'
    sent = f'<p class="hint" id="qr-sent" role="status" data-text="{escape(text["eid_sent"])}"></p>'
    return page(
        visit,
        title=text["eid_title"],
        scripts=("/auth/widget/useid-eid.js", "/static/id-card.js"),
        main=f"""\
<h1>{text["login_title"]}</h1>
<p class="lead">{text["eid_lead"]}</p>
<div class="by-phone alone">
<useid-eid server="/auth" return-url="{escape(target)}" data-phone="{escape(visit.eid_phone)}">
<noscript><form class="card" method="post" action="/auth/eid/plain">
<input type="hidden" name="returnUrl" value="{escape(target)}">
<button class="button">{text["eid_no_script"]}</button></form></noscript>
</useid-eid>
{phone + sent if visit.eid_phone else ""}</div>
<p><a href="/login?{escape(urlencode({"next": target}))}">{text["other_ways"]}</a></p>""",
    )


def protected(visit: Visit) -> HTMLResponse:
    """The members' page: how this login was made, and the account's sessions."""
    text = visit.text
    moment = datetime.fromtimestamp(visit.auth_time, UTC)
    since = f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M} UTC</time>'
    methods = "".join(f"<li><code>{escape(name)}</code> {text.get(name, '')}</li>" for name in visit.amr)
    names = "".join(f"<li>{escape(role)}</li>" for role in visit.roles)
    roles = (
        f'<div><dt>{text["roles"]}</dt><dd><ul class="methods" id="roles">{names}</ul></dd></div>\n' if names else ""
    )
    profile = f'<p><a href="/auth/profile">{text["profile"]}</a></p>' if visit.by_provider else ""
    return page(
        visit,
        title=text["protected_title"],
        scripts=("/static/sessions.js",),
        main=f"""\
<h1>{text["protected_title"]}</h1>
<p class="lead">{text["protected_lead"]}</p>
<section class="card" aria-labelledby="this-login"><h2 id="this-login">{text["this_login"]}</h2>
<dl class="facts">
<div><dt>{text["account"]}</dt><dd>{escape(visit.username)}</dd></div>
<div><dt>{text["level"]}</dt><dd><b id="acr" class="badge">{escape(visit.acr)}</b> {_level(visit)}</dd></div>
<div><dt>{text["methods"]}</dt><dd><ul class="methods" id="amr">{methods}</ul></dd></div>
<div><dt>{text["since"]}</dt><dd>{since}</dd></div>
{roles}</dl>
{profile}</section>
<section class="card" id="sessions" aria-labelledby="sessions-title" data-errors="{_errors(text)}">
<h2 id="sessions-title">{text["sessions"]}</h2>
<p class="hint">{text["sessions_lead"]}</p>
<p class="alert" role="alert" data-part="alert"></p>
<ul class="rows" data-part="rows"></ul>
<button class="button quiet" type="button" data-part="others" hidden>{text["end_others"]}</button>
<noscript><p class="hint">{text["no_script"]}</p></noscript>
<template><li><div><strong data-part="browser"></strong> <span class="badge" data-part="acr"></span>
<small><span data-part="ip"></span> · <span data-part="seen" data-text="{text["last_seen"]}"></span></small></div>
<span class="here" data-part="current">{text["this_browser"]}</span>
<button class="button quiet small" type="button" data-part="end">{text["end"]}</button></li></template>
</section>""",
    )


def _level(visit: Visit) -> str:
    """What the level of this login means; one with an emulated card says that it means nothing."""
    level, _, emulated = visit.acr.partition("-")
    meaning = visit.text["L1_card" if level == "L1" and "sc" in visit.amr else level]
    return f"{meaning} ({visit.text['emulated']})" if emulated else meaning


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


def phones(visit: Visit) -> HTMLResponse:
    """Add a phone in three steps; list and revoke. ``phones.js`` shows one ``data-step`` at a time."""
    text = visit.text
    return page(
        visit,
        title=text["phones_title"],
        scripts=("/static/phones.js",),
        main=f"""\
<h1>{text["phones_title"]}</h1>
<p class="lead">{text["phones_lead"]}</p>
<section class="card" id="enrol" data-errors="{_errors(text)}">
<div data-step="start"><h2>{text["add_title"]}</h2><p class="hint">{text["add_lead"]}</p>
<button class="button" type="button" data-part="add">{text["add"]}</button></div>
<div data-step="scan" class="scan" hidden>
<div class="qr" data-part="qr" data-label="{escape(text["scan_label"])}"></div>
<div><h2 tabindex="-1">{text["scan_title"]}</h2>
<p class="hint">{text["qr_hint"]}</p>
<p class="hint" role="timer" data-part="timer" data-text="{text["expires"]}"></p>
<p class="actions"><button class="button quiet small" type="button" data-part="copy" data-done="{text["copied"]}"\
>{text["copy"]}</button>
<button class="button quiet small" type="button" data-part="cancel">{text["cancel"]}</button></p>
<input class="link" data-part="link" readonly aria-label="Link"></div></div>
<form data-step="code" class="fields" novalidate hidden>
<h2 data-part="code-title" data-text="{text["code_title"]}"></h2><p class="hint">{text["code_lead"]}</p>
<label for="code">{text["code"]}</label>
<input id="code" class="code" inputmode="numeric" autocomplete="one-time-code" placeholder="000 000" required\
 aria-describedby="code-error">
<p class="alert" id="code-error" role="alert"></p>
<p class="actions"><button class="button">{text["confirm"]}</button>
<button class="button quiet" type="button" data-part="cancel">{text["cancel"]}</button></p></form>
<div data-step="done" hidden><h2 tabindex="-1" data-part="done-title" data-text="{text["done_title"]}"></h2>
<p class="hint">{text["done_lead"]}</p>
<button class="button quiet" type="button" data-part="add">{text["add_another"]}</button></div>
<div data-step="failed" hidden><h2 tabindex="-1">{text["failed_title"]}</h2>
<p class="alert" data-part="failure"></p>
<button class="button" type="button" data-part="add">{text["again"]}</button></div>
<noscript><p class="hint">{text["no_script"]}</p></noscript>
</section>
<section class="card" id="phones" aria-labelledby="phones-title">
<h2 id="phones-title" tabindex="-1">{text["your_phones"]}</h2>
<p class="alert" role="alert" data-part="alert"></p>
<p class="hint" data-part="none" hidden>{text["no_phones"]}</p>
<ul class="rows" data-part="rows"></ul>
<template><li><div><strong data-part="label"></strong>
<small><span data-part="added" data-text="{text["added"]}"></span> ·
<span data-part="used" data-text="{text["last_seen"]}">{text["never_used"]}</span></small></div>
<button class="button quiet small" type="button" data-part="revoke" data-text="{escape(text["revoke_sure"])}"\
>{text["revoke"]}</button></li></template>
<p class="unseen" role="status" data-part="note" data-text="{escape(text["revoked"])}"></p>
</section>""",
    )


def problem(visit: Visit, *, status: int) -> HTMLResponse:
    """What went wrong, and the way back."""
    title = visit.text.get(f"status_{status}", visit.text["status_other"])
    back = f'<a class="button" href="/">{visit.text["back_home"]}</a>'
    main = f'<h1>{title}</h1><p class="lead">{status}</p><p>{back}</p>'
    return page(visit, title=title, main=main, status=status)


def _errors(text: Mapping[str, str]) -> str:
    """The texts for error codes of the calls, for a ``data-errors`` attribute."""
    codes = {
        "code_wrong": "code_wrong",
        "attempts": "attempts",
        "code_incomplete": "code_incomplete",
        "too_many": "too_many",
        "session_expired": "expired",
        "session_unknown": "expired",
        "rate_limited": "rate_limited",
        "store_unavailable": "network",
        "network": "network",
        "other": "unknown_error",
    }
    return escape(json.dumps({code: text[name] for code, name in codes.items()}, ensure_ascii=False))
