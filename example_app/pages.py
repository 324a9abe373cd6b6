"""The app's pages: plain functions from what is to be shown to a response. What came from outside is escaped.

Those on which a person logs in are in :mod:`example_app.login_pages`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

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
<a class="button quiet" href="/phones">{text["see_phones"]}</a>
<a class="button quiet" href="/passkeys">{text["see_passkeys"]}</a></p>"""
    else:
        hero = f"""\
<h1>{text["home_title"]}</h1>
<p class="lead">{text["home_lead"]}</p>
<p class="actions"><a class="button" href="/login">{text["log_in"]}</a></p>"""
    names = ["step_password", "step_phone", "step_enrol", "step_qr", *(["step_eid"] if visit.has_eid else [])]
    names += ["step_passkey", "step_vault"]
    steps = "".join(f"<li><p>{text[name]}</p></li>" for name in names)
    return page(
        visit,
        title=text["home_title"],
        main=f"""\
<div class="hero">{hero}</div>
<section class="card" aria-labelledby="steps"><h2 id="steps">{text["steps"]}</h2>
<ol class="steps">{steps}</ol></section>""",
    )


def protected(visit: Visit) -> HTMLResponse:
    """The members' page: how this login was made, and the account's sessions."""
    text = visit.text
    profile = f'<p><a href="/auth/profile">{text["profile"]}</a></p>' if visit.by_provider else ""
    return page(
        visit,
        title=text["protected_title"],
        scripts=("/static/times.js", "/static/sessions.js"),
        main=f"""\
<h1>{text["protected_title"]}</h1>
<p class="lead">{text["protected_lead"]}</p>
<section class="card" aria-labelledby="this-login"><h2 id="this-login">{text["this_login"]}</h2>
{_facts(visit)}
{profile}</section>
<section class="card" aria-labelledby="vault-title"><h2 id="vault-title">{text["vault_title"]}</h2>
<p class="hint">{text["vault_hint"]}</p>
<p class="actions"><a class="button" href="/vault">{text["vault_open"]}</a></p></section>
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


def vault(visit: Visit) -> HTMLResponse:
    """A page for sessions of ``L2`` and more, and what this one has shown."""
    text = visit.text
    return page(
        visit,
        title=text["vault_title"],
        scripts=("/static/times.js",),
        main=f"""\
<h1>{text["vault_title"]}</h1>
<p class="lead">{text["vault_lead"]}</p>
<section class="card" aria-labelledby="this-login"><h2 id="this-login">{text["this_login"]}</h2>
{_facts(visit)}</section>""",
    )


def passkeys(visit: Visit) -> HTMLResponse:
    """Add, name and delete passkeys: the plugin's element."""
    text = visit.text
    if visit.passkeys_at:
        main = f'<p class="notice">{text["passkeys_at"].format(address=escape(visit.passkeys_at))}</p>'
    else:
        main = f"""\
<div class="element"><useid-passkey mode="manage" server="/auth"></useid-passkey></div>
<noscript><p class="card">{text["no_script"]}</p></noscript>"""
    return page(
        visit,
        title=text["passkeys_title"],
        scripts=() if visit.passkeys_at else ("/auth/widget/useid-passkey.js",),
        main=f"""\
<h1>{text["passkeys_title"]}</h1>
<p class="lead">{text["passkeys_lead"]}</p>
{main}""",
    )


def _facts(visit: Visit) -> str:
    """How this login was made."""
    text = visit.text
    moment = datetime.fromtimestamp(visit.auth_time, UTC)
    since = f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M} UTC</time>'
    methods = "".join(f"<li><code>{escape(name)}</code> {text.get(name, '')}</li>" for name in visit.amr)
    names = "".join(f"<li>{escape(role)}</li>" for role in visit.roles)
    roles = f'<div><dt>{text["roles"]}</dt><dd><ul class="methods" id="roles">{names}</ul></dd></div>' if names else ""
    return f"""\
<dl class="facts">
<div><dt>{text["account"]}</dt><dd>{escape(visit.username)}</dd></div>
<div><dt>{text["level"]}</dt><dd><b id="acr" class="badge">{escape(visit.acr)}</b> {_level(visit)}</dd></div>
<div><dt>{text["methods"]}</dt><dd><ul class="methods" id="amr">{methods}</ul></dd></div>
<div><dt>{text["since"]}</dt><dd>{since}</dd></div>
{roles}</dl>"""


def _level(visit: Visit) -> str:
    """What the level of this login means; one with an emulated card says that it means nothing."""
    level, _, emulated = visit.acr.partition("-")
    meaning = visit.text["L1_card" if level == "L1" and "sc" in visit.amr else level]
    return f"{meaning} ({visit.text['emulated']})" if emulated else meaning


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
