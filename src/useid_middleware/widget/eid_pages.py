"""The pages around ``<useid-eid>``, as plain values: our own login page, and the one in the frames of other sites."""

import re
from collections.abc import Sequence
from html import escape
from typing import Final

from .serve import LOGIN_MODULES, Way, document, other_ways, script_policy, scripts

_MODULES: Final = ("useid-eid.js", "eid-auth.js", *LOGIN_MODULES)

#: What the page in a frame may ask the browser for: to copy a link, and for a proof that the phone is at hand.
WIDGET_PERMISSIONS: Final = (
    "camera=(), clipboard-read=(), clipboard-write=(self), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), publickey-credentials-get=(self), usb=()"
)

_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Log in with your ID card",
        "no_script": "Log in without JavaScript",
        "no_script_why": "The QR code on this page is drawn by JavaScript, which is switched off. With an eID client "
        "on this device you can log in nevertheless.",
    },
    "de": {
        "title": "Mit dem Ausweis anmelden",
        "no_script": "Ohne JavaScript anmelden",
        "no_script_why": "Der QR-Code auf dieser Seite wird mit JavaScript gezeichnet, und das ist ausgeschaltet. Mit "
        "einem eID-Client auf diesem Gerät können Sie sich trotzdem anmelden.",
    },
}


def eid_login_page(
    *,
    server: str,
    app_name: str,
    return_url: str = "",
    lang: str = "en",
    heartbeat: float = 15,
    ways: Sequence[Way] = (),
) -> bytes:
    """The page on which a person logs in with an ID card. ``server`` is root path and prefix.

    Send it with :data:`~useid_middleware.widget.serve.LOGIN_POLICY`. Without JavaScript, a form posts ``returnUrl`` to
    ``{server}/eid/plain``.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    target = escape(return_url)
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head=scripts(server, _MODULES),
        body=f"""\
{other_ways(ways, lang=lang)}\
<useid-eid server="{escape(server)}" return-url="{target}" heartbeat="{heartbeat:g}">
</useid-eid>
<noscript><div class="card">
<p class="detail">{text["no_script_why"]}</p>
<form method="post" action="{escape(server)}/eid/plain"><input type="hidden" name="returnUrl" value="{target}">\
<button class="button">{text["no_script"]}</button></form>
</div></noscript>
""",
    )


def widget_page(
    *,
    server: str,
    tenant: str,
    origin: str,
    tc_token_url: str = "",
    theme: str = "auto",
    back: str = "",
    lang: str = "en",
    heartbeat: float = 15,
) -> bytes:
    """The page in the frame that ``embed.js`` makes. ``origin`` is the embedding page's, the one that messages go to.

    All values are checked by the caller: the tenant and its ``origin`` are registered, ``tc_token_url`` is one of the
    tenant's (empty for its first), ``back`` is where its way back leads (empty for none). Send the page with
    :func:`widget_policy` and :data:`WIDGET_PERMISSIONS`.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    attributes = {
        "server": server,
        "tenant": tenant,
        "tc-token-url": tc_token_url,
        "back": back,
        "heartbeat": f"{heartbeat:g}",
        "data-parent-origin": origin,
    }
    markup = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items() if value)
    return document(
        server=server,
        app_name="",
        lang=lang,
        head=scripts(server, ("embedded.js", *_MODULES)),
        heading=text["title"],
        theme=theme,
        body=f"<useid-eid{markup}></useid-eid>\n",
    )


def widget_policy(origin: str) -> str:
    """For the page in a frame: as our login page, but framed by pages of ``origin`` alone. ValueError for no origin."""
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("origin must be scheme, host and port")
    return script_policy(form_action="'none'", frame_ancestors=origin)
