"""The frame around every page, and the headers that every page has.

No page holds an inline script or style, so the strictest Content-Security-Policy fits all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from .texts import LANGUAGES

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    # A logout goes on to the provider, and browsers hold a form's redirect against form-action too.
    "frame-src 'self'; form-action 'self' {form_targets}; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    # With "no-referrer" a browser posts our own forms with "Origin: null", and we could not tell them from others'.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """What every page shows. ``translations`` are ``(language, address)``; the rest is empty for anonymous visitors."""

    language: str
    remember_language: bool
    translations: Sequence[tuple[str, str]]
    path: str
    username: str = ""
    acr: str = ""
    amr: Sequence[str] = ()
    auth_time: float = 0.0
    roles: Sequence[str] = ()
    is_new: bool = False
    by_provider: bool = False
    providers: Sequence[tuple[str, str]] = ()
    form_targets: Sequence[str] = ()
    #: Whether ID cards can log in, and where the emulated phone for them is; empty for none.
    has_eid: bool = False
    eid_phone: str = ""
    #: How phone and computer may share a login with an ID card.
    eid_modes: Sequence[str] = ()
    #: Whether a login by phone is bound to this computer, and whether the phone for it is emulated.
    is_bound: bool = False
    has_hybrid: bool = False
    #: Where this page has passkeys, if not here: browsers know none of an address.
    passkeys_at: str = ""

    @property
    def text(self) -> Mapping[str, str]:
        """The texts in the visitor's language."""
        return LANGUAGES[self.language]


def page(visit: Visit, *, title: str, main: str, scripts: Sequence[str] = (), status: int = 200) -> HTMLResponse:
    """The frame around every page."""
    text = visit.text
    links = [("/", "home"), ("/protected", "protected"), ("/phones", "phones"), ("/passkeys", "passkeys")]
    current = {visit.path: ' aria-current="page"'}
    items = "".join(f'<li><a href="{path}"{current.get(path, "")}>{text[name]}</a></li>' for path, name in links)
    if visit.username:
        user = f"""\
<form class="user" method="post" action="/auth/logout"><span id="user">{escape(visit.username)}</span>
<button class="button quiet small">{text["log_out"]}</button></form>"""
        # Tells the person when the session has ended elsewhere, and looks at the provider's if that opened it.
        monitor = " monitor" if visit.by_provider else ""
        session = f'<useid-session server="/auth" login="/login"{monitor}></useid-session>'
        scripts = [*scripts, "/auth/widget/useid-session.js"]
    else:
        session = ""
        user = f'<p class="user"><a class="button quiet small" href="/login">{text["log_in"]}</a></p>'
    languages = "".join(
        f' · <a href="{escape(address)}" lang="{code}" hreflang="{code}">{LANGUAGES[code]["language"]}</a>'
        for code, address in visit.translations
    )
    head = ""
    if visit.has_hybrid:
        # A computer without Bluetooth meets a phone that is a window; see emulation/phone/static/hybrid.js.
        scripts = ["/phone/hybrid.js", *scripts]
        if visit.eid_phone:
            place = escape(f"{visit.eid_phone}authenticator")
            head = f'<meta name="useid-demo-authenticator" content="{place}">\n'
    head += "".join(f'<script type="module" src="{source}"></script>\n' for source in scripts)
    response = HTMLResponse(
        f"""\
<!doctype html>
<html lang="{visit.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Harbour</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/app.css">
{head}</head>
<body>
<a class="skip" href="#main">{text["skip"]}</a>
<header><a class="brand" href="/"><img src="/static/icon.svg" alt="" width="32" height="32">Harbour</a>
<nav aria-label="{text["nav"]}"><ul>{items}</ul></nav>
{user}</header>
<main id="main" tabindex="-1">
{main}
</main>
{session}
<footer><p>{text["about"]}{languages}</p></footer>
</body>
</html>
""",
        status,
        {"Content-Security-Policy": CONTENT_SECURITY_POLICY.format(form_targets=" ".join(visit.form_targets))}
        | _HEADERS,
    )
    if visit.remember_language:
        response.set_cookie("lang", visit.language, max_age=180 * 86400, httponly=True, samesite="lax")
    return response
