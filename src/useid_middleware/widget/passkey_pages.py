"""The pages around ``<useid-passkey>``, as plain values: to prove more than a login has, and to manage passkeys."""

from collections.abc import Sequence
from html import escape
from typing import Final

from ..identity import Level
from .serve import PASSKEY_MODULES, Way, document, scripts

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "step_up": "Confirm that it is you",
        "why": "The page that you opened asks for more than your login has shown.",
        "L1": "A login with your phone and a code is enough.",
        "L2": "A passkey is enough.",
        "L3": "It needs your ID card.",
        "none": "Nothing that your account has can show that.",
        "ways": "Ways to confirm",
        "other_ways": "Other ways to confirm",
        "with": "Continue with {way}",
        "or": "or",
        "later": "Not now",
        "manage": "Passkeys for {app}",
        "leave": "Back",
        "no_script": "Passkeys need JavaScript, which is switched off.",
    },
    "de": {
        "step_up": "Bestätigen Sie, dass Sie es sind",
        "why": "Die Seite, die Sie geöffnet haben, verlangt mehr, als Ihre Anmeldung gezeigt hat.",
        "L1": "Eine Anmeldung mit Smartphone und Code genügt.",
        "L2": "Ein Passkey genügt.",
        "L3": "Dafür ist Ihr Ausweis nötig.",
        "none": "Zu Ihrem Konto gibt es nichts, womit das ginge.",
        "ways": "Wege zur Bestätigung",
        "other_ways": "Weitere Wege zur Bestätigung",
        "with": "Weiter mit {way}",
        "or": "oder",
        "later": "Jetzt nicht",
        "manage": "Passkeys für {app}",
        "leave": "Zurück",
        "no_script": "Passkeys brauchen JavaScript, und das ist ausgeschaltet.",
    },
}


def step_up_page(
    *,
    server: str,
    app_name: str,
    level: Level,
    return_url: str = "",
    lang: str = "en",
    ways: Sequence[Way] = (),
    with_passkey: bool = True,
    landing: str = "/",
) -> bytes:
    """Says which ``level`` a page demands, and offers what reaches it. ``server`` is root path and prefix.

    ``ways`` are links to logins that reach it; ``with_passkey``: the account has passkeys, which are offered up to
    ``L2``, as far as they reach. ``landing`` is where a person goes who does not want to. Send it with
    :data:`~useid_middleware.widget.serve.LOGIN_POLICY`.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    offers_passkey = with_passkey and level <= Level.L2
    needed = f" {text[level.name]}" if level.name in text else ""
    body = f'<p class="why">{text["why"]}{needed}</p>\n'
    if offers_passkey:
        body += _element(server, text["no_script"], mode="step-up", return_url=return_url)
        body += f'<p class="or">{text["or"]}</p>\n' if ways else ""
    if ways:
        label = text["other_ways" if offers_passkey else "ways"]
        body += f'<nav class="ways" aria-label="{label}"><ul>\n{_links(ways, text["with"])}</ul></nav>\n'
    if not (offers_passkey or ways):
        body += f'<p class="card">{text["none"]}</p>\n'
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head=scripts(server, PASSKEY_MODULES) if offers_passkey else "",
        heading=text["step_up"],
        body=body + _way_out(text["later"], landing),
    )


def passkeys_page(*, server: str, app_name: str, lang: str = "en", landing: str = "/") -> bytes:
    """Where a person who is logged in adds, names and deletes passkeys; ``landing`` is the way back.

    Send it with :data:`~useid_middleware.widget.serve.LOGIN_POLICY`.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head=scripts(server, PASSKEY_MODULES),
        heading=text["manage"].format(app=app_name),
        body=_element(server, text["no_script"], mode="manage") + _way_out(text["leave"], landing),
    )


def _element(server: str, no_script: str, *, mode: str, return_url: str = "") -> str:
    target = f' return-url="{escape(return_url)}"' if return_url else ""
    return (
        f'<useid-passkey mode="{mode}" server="{escape(server)}"{target}></useid-passkey>\n'
        f'<noscript><p class="card">{no_script}</p></noscript>\n'
    )


def _links(ways: Sequence[Way], wording: str) -> str:
    return "".join(
        f'<li><a class="button" href="{escape(way.address)}">{wording.format(way=escape(way.label))}</a></li>\n'
        for way in ways
    )


def _way_out(label: str, address: str) -> str:
    return f'<p class="way-out"><a href="{escape(address)}">{label}</a></p>\n'
