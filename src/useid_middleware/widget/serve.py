"""The widget's files and the pages around it, as plain values: no I/O after construction, no framework.

Files are read once. Their addresses carry no version, and the modules import each other, so a browser must not mix
files of two releases: every use is revalidated against a strong ETag (a 304 without a body). That makes upgrades safe.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Final, Literal, TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]
PlainState: TypeAlias = Literal["waiting", "scanned", "approved", "rejected", "expired"]

_JAVASCRIPT: Final = b"text/javascript; charset=utf-8"
_CSS: Final = b"text/css; charset=utf-8"

#: The modules of the login page, in the order in which a browser needs them.
LOGIN_MODULES: Final = (
    "useid-login.js", "qr-auth.js", "waiting-login.js", "bound.js", "ceremony.js", "hpke.js", "follow.js", "request.js",
    "qrcode.js", "page.js", "view.js", "locales/en.js", "locales/de.js",
)  # fmt: skip
#: Those of ``<useid-passkey>``.
PASSKEY_MODULES: Final = (
    "useid-passkey.js", "passkeys.js", "ceremony.js", "passkey-list.js", "page.js", "request.js", "view.js",
    "locales/en.js", "locales/de.js",
)  # fmt: skip
#: Below ``{prefix}/widget/``: all there is.
ASSETS: Final = {
    name: _CSS if name.endswith(".css") else _JAVASCRIPT
    for name in (
        "useid-login.css", "useid-passkey.css", *LOGIN_MODULES, *PASSKEY_MODULES, "useid-eid.js", "eid-auth.js",
        "useid-session.js", "session-monitor.js", "silent-result.js", "embed.js", "embedded.js",
    )
}  # fmt: skip


def script_policy(*, form_action: str = "'self'", frame_ancestors: str = "'none'") -> str:
    """For a page with an element of ours: our own scripts and style, calls to our own server, no markup sinks."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        f"form-action {form_action}; frame-ancestors {frame_ancestors}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


#: For the login page, which is in nobody's frame.
LOGIN_POLICY: Final = script_policy()


def plain_policy(form_targets: Iterable[str] = ()) -> str:
    """For the login without JavaScript.

    ``form_targets`` are the further origins to which a login may redirect: browsers hold the redirect after a form's
    POST against ``form-action`` too.
    """
    targets = " ".join(["'self'", *form_targets])
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        f"form-action {targets}; frame-ancestors 'none'"
    )


def logout_policy(form_targets: Iterable[str] = ()) -> str:
    """For the logout page; ``form_targets`` are the origins of the providers' own logouts, to which it goes on."""
    return plain_policy(form_targets)


class WidgetFiles:
    """The files, read at construction."""

    def __init__(self) -> None:
        package = files(__package__)
        self._assets: dict[str, tuple[bytes, bytes, bytes]] = {}
        for name, media_type in ASSETS.items():
            body = package.joinpath(*name.split("/")).read_bytes()
            etag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
            self._assets[name] = (body, etag, media_type)

    def find_asset(
        self, name: str, if_none_match: bytes | None = None, *, method: str = "GET"
    ) -> tuple[int, Headers, bytes]:
        """Status, headers and body for ``{prefix}/widget/{name}``. HEAD is answered as GET is; drop the body."""
        headers: Headers = [(b"x-content-type-options", b"nosniff")]
        if name not in self._assets:
            return 404, [*headers, (b"cache-control", b"no-store"), (b"content-length", b"0")], b""
        if method not in ("GET", "HEAD"):
            return 405, [*headers, (b"allow", b"GET, HEAD"), (b"content-length", b"0")], b""
        body, etag, media_type = self._assets[name]
        headers += [(b"etag", etag), (b"cache-control", b"public, max-age=0, must-revalidate")]
        if if_none_match is not None and _matches(if_none_match, etag):
            return 304, headers, b""
        return 200, [*headers, (b"content-type", media_type), (b"content-length", b"%d" % len(body))], body


def _matches(if_none_match: bytes, etag: bytes) -> bool:
    """RFC 9110 §13.1.2: weak comparison against a list, or ``*``. A proxy that compresses makes our tags weak."""
    tags = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return etag in tags or tags == [b"*"]


_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "login": "Log in to {app}",
        "with": "Log in with {way}",
        "ways": "Other ways to log in",
        "or": "or",
        "no_script": "Log in without JavaScript",
        "no_script_why": "The QR code on this page is drawn by JavaScript, which is switched off.",
        "no_script_passkey": "Passkeys need JavaScript, which is switched off.",
        "title": "Log in with your phone",
        "lead": "Scan the code with the app on your phone. This page refreshes itself every five seconds.",
        "qr": "QR code for logging in. If you cannot scan it, use the link below.",
        "open": "Open on this device",
        "waiting": "Waiting for your phone",
        "scanned": "Code scanned",
        "scanned_more": "Approve on your device. This page refreshes itself every five seconds.",
        "code": "One more step",
        "code_more": "Your phone shows a six-digit code. Enter it here, and nowhere else.",
        "code_label": "Code from your phone",
        "confirm": "Confirm",
        "approved": "Approved on your phone",
        "approved_more": "Finish the login here.",
        "finish": "Log in now",
        "rejected": "Login rejected",
        "rejected_more": "The request was rejected. Nobody was logged in.",
        "expired": "Session expired",
        "expired_more": "A code is valid for a few minutes only. Get a new one to go on.",
        "retry": "Try again",
        "refresh": "Get a new code",
        "again": "Check now",
        "left": "Expires in {time}",
        "logout": "Log out of {app}?",
        "logout_who": "You are logged in as {name}.",
        "logout_more": "If you logged in at a login provider, your session there ends as well.",
        "leave": "Log out",
        "stay": "Stay logged in",
    },
    "de": {
        "login": "Bei {app} anmelden",
        "with": "Mit {way} anmelden",
        "ways": "Weitere Wege zur Anmeldung",
        "or": "oder",
        "no_script": "Ohne JavaScript anmelden",
        "no_script_why": "Der QR-Code auf dieser Seite wird mit JavaScript gezeichnet, und das ist ausgeschaltet.",
        "no_script_passkey": "Passkeys brauchen JavaScript, und das ist ausgeschaltet.",
        "title": "Mit dem Smartphone anmelden",
        "lead": "Scannen Sie den Code mit der App auf Ihrem Smartphone. Die Seite lädt sich alle fünf Sekunden neu.",
        "qr": "QR-Code für die Anmeldung. Wenn Sie ihn nicht scannen können, nutzen Sie den Link darunter.",
        "open": "Auf diesem Gerät öffnen",
        "waiting": "Warten auf Ihr Smartphone",
        "scanned": "Code gescannt",
        "scanned_more": "Bestätigen Sie auf Ihrem Smartphone. Die Seite lädt sich alle fünf Sekunden neu.",
        "code": "Noch ein Schritt",
        "code_more": "Ihr Smartphone zeigt einen sechsstelligen Code. Geben Sie ihn hier ein, und nur hier.",
        "code_label": "Code von Ihrem Smartphone",
        "confirm": "Bestätigen",
        "approved": "Auf dem Smartphone bestätigt",
        "approved_more": "Schließen Sie die Anmeldung hier ab.",
        "finish": "Jetzt anmelden",
        "rejected": "Anmeldung abgelehnt",
        "rejected_more": "Die Anfrage wurde abgelehnt. Niemand wurde angemeldet.",
        "expired": "Sitzung abgelaufen",
        "expired_more": "Ein Code gilt nur wenige Minuten. Mit einem neuen geht es weiter.",
        "retry": "Noch einmal versuchen",
        "refresh": "Neuen Code holen",
        "again": "Jetzt nachsehen",
        "left": "Läuft ab in {time}",
        "logout": "Von {app} abmelden?",
        "logout_who": "Sie sind angemeldet als {name}.",
        "logout_more": "Wenn Sie sich bei einem Anmeldedienst angemeldet haben, endet auch Ihre Sitzung dort.",
        "leave": "Abmelden",
        "stay": "Angemeldet bleiben",
    },
}


def choose_language(accept_language: str) -> str:
    """The first of our languages in an ``Accept-Language`` header, in the order of its weights; English otherwise."""
    ranges = []
    for item in accept_language.split(","):
        tag, _, weight = item.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        ranges.append((quality, tag.strip().lower()[:2]))
    ranked = sorted(ranges, key=lambda entry: -entry[0])
    return next((tag for quality, tag in ranked if quality > 0 and tag in _TEXTS), "en")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to log in that is a link: what it is called, and where it leads."""

    label: str
    address: str


def login_page(
    *,
    server: str,
    app_name: str,
    return_url: str = "",
    lang: str = "en",
    heartbeat: float = 15,
    ways: Sequence[Way] = (),
    with_phone: bool = True,
    with_passkey: bool = False,
) -> bytes:
    """The default login page. ``server`` is root path and prefix; send it with :data:`LOGIN_POLICY`."""
    text = _TEXTS.get(lang, _TEXTS["en"])
    where = f'server="{escape(server)}" return-url="{escape(return_url)}"'
    passkey = f"<useid-passkey {where}></useid-passkey>\n" if with_passkey else ""
    if passkey and (ways or with_phone):
        passkey += f'<p class="or">{text["or"]}</p>\n'
    elif passkey:
        passkey += f'<noscript><p class="card">{text["no_script_passkey"]}</p></noscript>\n'
    if with_phone:
        body = f"""\
{other_ways(ways, lang=lang)}\
<useid-login {where} heartbeat="{heartbeat:g}" same-device>
</useid-login>
<noscript><div class="card">
<p class="detail">{text["no_script_why"]}</p>
{_start_form(server, return_url, "", text["no_script"])}
</div></noscript>
"""
    else:
        links = _links(ways, lang=lang, label=text["login"].format(app=escape(app_name)))
        body = f'<div class="card">\n{links}</div>\n' if links or not passkey else ""
    modules = [*([PASSKEY_MODULES] if with_passkey else []), *([LOGIN_MODULES] if with_phone else [])]
    return document(server=server, app_name=app_name, lang=lang, head=scripts(server, *modules), body=passkey + body)


def scripts(server: str, *elements: Sequence[str]) -> str:
    """The head's lines that load the first module of each element, and the others before it asks for them."""
    here = f"{escape(server)}/widget/"
    names = dict.fromkeys(name for modules in elements for name in modules)
    preloads = "".join(f'<link rel="modulepreload" href="{here}{name}">\n' for name in names)
    loads = "".join(f'<script type="module" src="{here}{modules[0]}"></script>\n' for modules in elements)
    return preloads + loads


def other_ways(ways: Sequence[Way], *, lang: str) -> str:
    """The links to other ways to log in, above the one of the page; empty where there are none."""
    text = _TEXTS.get(lang, _TEXTS["en"])
    return f'{_links(ways, lang=lang, label=text["ways"])}<p class="or">{text["or"]}</p>\n' if ways else ""


def _links(ways: Sequence[Way], *, lang: str, label: str) -> str:
    text = _TEXTS.get(lang, _TEXTS["en"])
    choice = "".join(
        f'<li><a class="button" href="{escape(way.address)}">{text["with"].format(way=escape(way.label))}</a></li>\n'
        for way in ways
    )
    return f'<nav class="ways" aria-label="{label}"><ul>\n{choice}</ul></nav>\n' if ways else ""


def plain_page(
    *,
    server: str,
    app_name: str,
    session_id: str,
    state: PlainState,
    qr_url: str = "",
    link: str = "",
    code_required: bool = False,
    error: str = "",
    seconds_left: int = 0,
    return_url: str = "",
    login_url: str = "",
    lang: str = "en",
) -> bytes:
    """One page of the login without JavaScript; send it with :func:`plain_policy`.

    ``qr_url`` and ``link`` matter while waiting, ``code_required`` when approved, ``return_url`` for another attempt,
    which ``login_url`` sends to the page with the widget instead.
    ``error`` is shown as it is. The page loads itself again while the phone's owner has the next step.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    moment = "code" if state == "approved" and code_required else state
    more = f'<span class="detail">{text[f"{moment}_more"]}</span>' if f"{moment}_more" in text else ""
    alert = f'<p class="code-error" id="code-error" role="alert">{escape(error)}</p>' if error else ""
    wrong = ' aria-invalid="true" aria-describedby="code-error"' if error else ""
    left = text["left"].format(time=f"{seconds_left // 60}:{seconds_left % 60:02d}")
    timer = f'<p class="timer">{left}</p>' if state not in ("rejected", "expired") and seconds_left > 0 else ""
    here = f"{escape(server)}/plain/{escape(session_id)}"
    refreshing = state in ("waiting", "scanned")
    parts = {
        "waiting": f"""\
<p class="lead">{text["lead"]}</p>
<div class="stage"><div class="qr"><img src="{escape(qr_url)}" alt="{text["qr"]}"></div></div>""",
        "code": f"""\
<form class="code-form" method="post" action="{here}">
<label for="code">{text["code_label"]}</label>
<input class="code-field" id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="11"\
 required autofocus{wrong}>
{alert}
<button class="button">{text["confirm"]}</button>
</form>""",
        "approved": f"""\
{alert}
<form method="post" action="{here}"><button class="button">{text["finish"]}</button></form>""",
        "rejected": alert + _start_form(server, return_url, login_url, text["retry"]),
        "expired": alert + _start_form(server, return_url, login_url, text["refresh"]),
    }
    message = f'<div class="message" role="status"><strong class="headline">{text[moment]}</strong>{more}</div>'
    actions = ""
    if refreshing:
        opening = f'<a class="button quiet" href="{escape(link)}">{text["open"]}</a>' if state == "waiting" else ""
        actions = f'<div class="actions">{opening}<a class="button quiet" href="{here}">{text["again"]}</a></div>'
    picture, form = (parts["waiting"], "") if state == "waiting" else ("", parts.get(moment, ""))
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head='<meta http-equiv="refresh" content="5">\n' if refreshing else "",
        body=f"""\
<section class="card" data-status="{moment}" aria-labelledby="title">
<h2 class="title" id="title">{text["title"]}</h2>
{picture}{message}{form}{timer}{actions}
</section>
""",
    )


def _start_form(server: str, return_url: str, login_url: str, label: str) -> str:
    if login_url:
        return f'<p><a class="button" href="{escape(login_url)}">{label}</a></p>'
    return (
        f'<form method="post" action="{escape(server)}/plain">'
        f'<input type="hidden" name="returnUrl" value="{escape(return_url)}">'
        f'<button class="button">{label}</button></form>'
    )


def logout_page(*, server: str, app_name: str, lang: str, username: str, action: str, landing: str = "/") -> bytes:
    """Asks before it logs out: a form that posts to ``action``, and a link to ``landing``.

    Send it with :func:`logout_policy`.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    who = f'<p class="lead">{text["logout_who"].format(name=f"<strong>{escape(username)}</strong>")}</p>\n'
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=text["logout"].format(app=app_name),
        body=f"""\
<div class="card">
{who if username else ""}<p class="detail">{text["logout_more"]}</p>
<form method="post" action="{escape(action)}"><button class="button">{text["leave"]}</button></form>
<a class="button quiet" href="{escape(landing)}">{text["stay"]}</a>
</div>
""",
    )


def document(
    *, server: str, app_name: str, lang: str, head: str, body: str, heading: str = "", theme: str = ""
) -> bytes:
    """The frame around a page of ours: ``head`` and ``body`` are markup, ``heading`` text instead of the usual one.

    With a ``theme`` it is a page for a frame of another site's page, whose own headings surround it.
    """
    # The referrer must not be left out altogether: browsers would post our own forms with ``Origin: null``.
    language = lang if lang in _TEXTS else "en"
    heading = escape(heading) or _TEXTS[language]["login"].format(app=escape(app_name))
    look, title = (f' data-theme="{escape(theme)}"', ' class="unseen"') if theme else ("", "")
    return f"""\
<!doctype html>
<html lang="{language}" class="useid-page"{look}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="same-origin">
<meta name="robots" content="noindex">
<title>{heading}</title>
<link rel="stylesheet" href="{escape(server)}/widget/useid-login.css">
{head}</head>
<body>
<main>
<h1{title}>{heading}</h1>
{body}</main>
</body>
</html>
""".encode()
