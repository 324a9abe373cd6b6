"""What people see of logins at providers, and the pages inside iframes that watch a session. Values to bytes, no I/O.

Whatever comes from outside is escaped. The provider's own description of an error is never shown: a stranger can write
it into a link.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from .._codec import timestamp
from ..identity import Account
from ..sessions.records import Session
from ..widget.serve import document

#: How a renewal in an iframe ended: the same person is logged in, the session is over, or nobody could tell.
Outcome: TypeAlias = Literal["unchanged", "ended", "error"]

_PAGE: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
_SCRIPT: Final = "script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"

#: For :func:`error_page`.
ERROR_POLICY: Final = f"{_PAGE}form-action 'none'"
#: For :func:`profile_page`. Browsers hold the logout's redirect to whichever provider against ``form-action`` too.
PROFILE_POLICY: Final = f"{_PAGE}form-action 'self' https: http://localhost:* http://127.0.0.1:*"
#: For :func:`silent_page`.
SILENT_POLICY: Final = f"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; {_SCRIPT}"

#: Headline and explanation by code; a code that is not listed is about an answer that must not be believed.
_ERRORS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "en": {
        "authorization_refused": (
            "The login was cancelled",
            "You cancelled it, or your login provider refused it. Nobody was logged in.",
        ),
        "state_mismatch": (
            "This login is not valid any more",
            "It was begun in another window or browser, or finished already. Start again.",
        ),
        "login_expired": (
            "This login took too long",
            "A login has to be finished within a few minutes. Start again.",
        ),
        "cookie_missing": (
            "Your browser sent no cookie",
            "Without one this site cannot tell that the login is yours. Allow cookies for this site and start again.",
        ),
        "provider_unreachable": (
            "The login provider cannot be reached",
            "It does not answer at the moment. Nobody was logged in. Try again in a few minutes.",
        ),
        "email_not_verified": (
            "Your e-mail address is not confirmed",
            "This site accepts confirmed addresses only. Confirm yours at your login provider, then log in again.",
        ),
        "login_refused": ("This site refused the login", "Nobody was logged in."),
        "rate_limited": ("Too many attempts", "Wait a moment, then try again."),
        "logout_refused": (
            "The logout was refused",
            "The request to log out did not come from your login provider. Nothing was changed.",
        ),
        "store_unavailable": (
            "This site cannot log you in at the moment",
            "Something that it needs is out of reach. Nobody was logged in. Try again in a few minutes.",
        ),
        "not_found": ("There is nothing here", "The address may be mistyped, or the page is gone."),
        "": (
            "The login provider’s answer could not be trusted",
            "Something in it was not as it has to be. Nobody was logged in.",
        ),
    },
    "de": {
        "authorization_refused": (
            "Die Anmeldung wurde abgebrochen",
            "Sie haben sie abgebrochen, oder Ihr Anmeldedienst hat sie abgelehnt. Niemand wurde angemeldet.",
        ),
        "state_mismatch": (
            "Diese Anmeldung ist nicht mehr gültig",
            "Sie wurde in einem anderen Fenster oder Browser begonnen oder schon abgeschlossen. Beginnen Sie von vorn.",
        ),
        "login_expired": (
            "Diese Anmeldung hat zu lange gedauert",
            "Eine Anmeldung muss nach wenigen Minuten abgeschlossen sein. Beginnen Sie von vorn.",
        ),
        "cookie_missing": (
            "Ihr Browser hat kein Cookie gesendet",
            "Ohne Cookie kann diese Seite die Anmeldung Ihnen nicht zuordnen. Erlauben Sie Cookies für diese Seite und "
            "beginnen Sie von vorn.",
        ),
        "provider_unreachable": (
            "Der Anmeldedienst ist nicht erreichbar",
            "Er antwortet gerade nicht. Niemand wurde angemeldet. Versuchen Sie es in ein paar Minuten noch einmal.",
        ),
        "email_not_verified": (
            "Ihre E-Mail-Adresse ist nicht bestätigt",
            "Diese Seite nimmt nur bestätigte Adressen an. Bestätigen Sie Ihre beim Anmeldedienst und melden Sie sich "
            "dann noch einmal an.",
        ),
        "login_refused": ("Diese Seite hat die Anmeldung abgelehnt", "Niemand wurde angemeldet."),
        "rate_limited": ("Zu viele Versuche", "Warten Sie einen Moment und versuchen Sie es dann noch einmal."),
        "logout_refused": (
            "Die Abmeldung wurde abgelehnt",
            "Die Aufforderung zur Abmeldung kam nicht von Ihrem Anmeldedienst. Nichts wurde verändert.",
        ),
        "store_unavailable": (
            "Diese Seite kann Sie gerade nicht anmelden",
            "Etwas, das sie dafür braucht, ist nicht erreichbar. Niemand wurde angemeldet. Versuchen Sie es in ein "
            "paar Minuten noch einmal.",
        ),
        "not_found": ("Hier ist nichts", "Vielleicht ist die Adresse vertippt, oder die Seite gibt es nicht mehr."),
        "": (
            "Der Antwort des Anmeldedienstes war nicht zu trauen",
            "Etwas darin war nicht so, wie es sein muss. Niemand wurde angemeldet.",
        ),
    },
}

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "retry": "Try again",
        "landing": "Go to {app}",
        "code": "If you ask for help, mention this code:",
        "profile": "You are logged in to {app}",
        "username": "Name",
        "email": "E-mail",
        "provider": "Logged in by",
        "level": "Assurance",
        "roles": "Roles",
        "auth_time": "Logged in at",
        "expires_at": "Session ends at",
        "access_expires_at": "Access token valid until",
        "claims": "What the login provider says about you",
        "claim": "Claim",
        "value": "Value",
        "sessions": "Your sessions",
        "current": "this one",
        "since": "since {time}",
        "logout": "Log out",
    },
    "de": {
        "retry": "Noch einmal versuchen",
        "landing": "Zu {app}",
        "code": "Wenn Sie um Hilfe bitten, nennen Sie diesen Code:",
        "profile": "Sie sind bei {app} angemeldet",
        "username": "Name",
        "email": "E-Mail",
        "provider": "Angemeldet durch",
        "level": "Vertrauensniveau",
        "roles": "Rollen",
        "auth_time": "Angemeldet am",
        "expires_at": "Sitzung endet am",
        "access_expires_at": "Zugriffstoken gültig bis",
        "claims": "Was der Anmeldedienst über Sie sagt",
        "claim": "Angabe",
        "value": "Wert",
        "sessions": "Ihre Sitzungen",
        "current": "diese",
        "since": "seit {time}",
        "logout": "Abmelden",
    },
}


def error_page(
    *, server: str, app_name: str, lang: str, code: str, retry: str, landing: str, message: str = ""
) -> bytes:
    """What happened, in plain words, with a way on. Send it with :data:`ERROR_POLICY`.

    ``retry`` and ``landing`` are addresses of ours; without ``retry`` there is no trying again. ``message`` is what the
    host app says about its own refusal, and shown for ``login_refused`` alone.
    """
    errors = _ERRORS.get(lang, _ERRORS["en"])
    text = _TEXTS.get(lang, _TEXTS["en"])
    headline, detail = errors.get(code, errors[""])
    if code == "login_refused" and message:
        detail = message
    again = f'<a class="button" href="{escape(retry)}">{text["retry"]}</a>\n' if retry else ""
    home = text["landing"].format(app=escape(app_name))
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=headline,
        body=f"""\
<div class="card" data-status="error">
<div class="badge small" aria-hidden="true">!</div>
<p class="lead">{escape(detail)}</p>
{again}<a class="button quiet" href="{escape(landing)}">{home}</a>
<p class="fine">{text["code"]} <code>{escape(code)}</code></p>
</div>
""",
    )


def profile_page(
    *,
    server: str,
    app_name: str,
    lang: str,
    account: Account,
    session: Session,
    claims: Mapping[str, object],
    access_expires_at: float | None,
    sessions: Sequence[Session],
    logout: str,
) -> bytes:
    """Who is logged in, by whom and how, and a form that posts to ``logout``. Send it with :data:`PROFILE_POLICY`.

    ``claims`` are those of the ID token and userinfo; ``sessions`` all of the account, ``session`` among them.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    facts = {
        "username": escape(account.username),
        "email": escape(account.email),
        "provider": escape(session.provider),
        "level": session.acr + "".join(f" · {escape(method)}" for method in session.amr),
        "roles": ", ".join(escape(role) for role in session.roles),
        "auth_time": _time(session.auth_time),
        "expires_at": _time(session.expires_at),
        "access_expires_at": "" if access_expires_at is None else _time(access_expires_at),
    }
    button = f'<button class="button">{text["logout"]}</button>'
    leave = f'<form method="post" action="{escape(logout)}">{button}</form>\n' if logout else ""
    rows = "".join(f"<div><dt>{text[name]}</dt><dd>{fact}</dd></div>\n" for name, fact in facts.items() if fact)
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=text["profile"].format(app=app_name),
        body=f"""\
<div class="card wide">
<dl class="facts">
{rows}</dl>
{leave}</div>
{_claims_table(claims, text) if claims else ""}<section class="card wide" aria-labelledby="sessions">
<h2 class="title" id="sessions">{text["sessions"]}</h2>
<ul class="sessions">
{"".join(_session_item(each, text, is_current=each.id == session.id) for each in sessions)}</ul>
</section>
""",
    )


def _claims_table(claims: Mapping[str, object], text: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_shown(value))}</td></tr>\n'
        for name, value in claims.items()
    )
    return f"""\
<section class="card wide" aria-labelledby="claims">
<h2 class="title" id="claims">{text["claims"]}</h2>
<table class="claims" aria-labelledby="claims">
<thead><tr><th scope="col">{text["claim"]}</th><th scope="col">{text["value"]}</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</section>
"""


def _session_item(session: Session, text: Mapping[str, str], *, is_current: bool) -> str:
    parts = [escape(session.browser), escape(session.ip), text["since"].format(time=_time(session.created_at))]
    mark = f" <strong>({text['current']})</strong>" if is_current else ""
    return f"<li>{' · '.join(part for part in parts if part)}{mark}</li>\n"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _time(seconds: float) -> str:
    stamp = timestamp(seconds)
    return f'<time datetime="{stamp}">{stamp[:10]} {stamp[11:16]} UTC</time>'


def monitor_page(
    *,
    server: str,
    lang: str,
    client_id: str,
    session_state: str,
    op_iframe: str,
    interval: float,
    renew: str,
) -> bytes:
    """The relying party's iframe of Session Management 1.0 §3.1, around the provider's.

    ``interval`` is in seconds, ``renew`` our address that begins a silent renewal. Without ``op_iframe`` the page tells
    its parent that it watches nothing. Send it with :func:`monitor_policy`.
    """
    # The title is for tools that list frames: people are shown neither this page nor the frame inside.
    frame = (
        f'<iframe src="{escape(op_iframe)}" title="OpenID check session" sandbox="allow-scripts allow-same-origin"'
        ' hidden aria-hidden="true" tabindex="-1"></iframe>'
    )
    return _frame_page(
        server=server,
        lang=lang,
        title="Session monitor",
        script="session-monitor.js",
        data={
            "client-id": client_id,
            "session-state": session_state,
            "interval": f"{interval:g}",
            "renew": renew,
        },
        content=frame if op_iframe else "",
    )


def monitor_policy(op_iframe: str, *, renewal: Iterable[str] = ()) -> str:
    """For :func:`monitor_page`: the provider's origin may be framed, and ours, through which renewals come back.

    ``renewal`` are further origins that a renewal passes through, where the provider logs in elsewhere than it keeps
    its iframe.
    """
    parts = urlsplit(op_iframe)
    origins = ["'self'", *([f"{parts.scheme}://{parts.netloc}"] if op_iframe else []), *renewal]
    return (
        f"default-src 'none'; frame-src {' '.join(dict.fromkeys(origins))}; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'self'; {_SCRIPT}"
    )


def silent_page(*, server: str, outcome: Outcome, session_state: str) -> bytes:
    """The end of a silent renewal, in an iframe of the monitor's, which it tells; with :data:`SILENT_POLICY`."""
    return _frame_page(
        server=server,
        lang="en",
        title="Session monitor",
        script="silent-result.js",
        data={"outcome": outcome, "session-state": session_state},
        content="",
    )


def _frame_page(*, server: str, lang: str, title: str, script: str, data: Mapping[str, str], content: str) -> bytes:
    """A page that nobody sees: ``data`` for the script of that name, in attributes."""
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    return f"""\
<!doctype html>
<html lang="{"de" if lang == "de" else "en"}">
<head>
<meta charset="utf-8">
<meta name="robots" content="noindex">
<title>{title}</title>
<script type="module" src="{escape(server)}/widget/{script}"></script>
</head>
<body{attributes}>
{content}</body>
</html>
""".encode()
