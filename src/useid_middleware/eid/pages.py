"""What people see of a login with an ID card, on the phone and where it ends. Values to bytes, no I/O.

Of what comes from outside nothing is shown: a stranger can write ``ResultMessage`` into a link.
"""

from html import escape
from typing import Final

from ..widget.serve import document

_PAGE: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
#: For all pages here. Their links open eID clients; the form stays on this site.
PAGE_POLICY: Final = f"{_PAGE}form-action 'self'"

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "start": "Log in with your ID card",
        "start_more": "You are about to log in to {app} ({origin}) on another device.",
        "start_warn": "Go on only if you yourself opened the login page there, a moment ago. Nobody will ever send you "
        "this page, or ask you for the code that it shows at the end.",
        "start_go": "Continue",
        "open": "Open your ID card app",
        "open_more": "Have your ID card and its PIN at hand. The app brings you back to your browser afterwards.",
        "open_go": "Open the app",
        "open_local": "The app runs on this computer",
        "done": "Type this code on your other device",
        "done_more": "Type it where you began, on {origin}, and nowhere else. Then you are logged in there.",
        "code": "Your code",
        "home": "To the start page",
        "retry": "Start again",
    },
    "de": {
        "start": "Mit dem Ausweis anmelden",
        "start_more": "Sie melden sich gleich auf einem anderen Gerät bei {app} ({origin}) an.",
        "start_warn": "Fahren Sie nur fort, wenn Sie selbst dort gerade eben die Anmeldeseite geöffnet haben. Niemand "
        "wird Ihnen je diese Seite schicken oder nach dem Code fragen, den sie am Ende zeigt.",
        "start_go": "Weiter",
        "open": "Öffnen Sie Ihre Ausweis-App",
        "open_more": "Halten Sie Ausweis und PIN bereit. Die App bringt Sie danach in Ihren Browser zurück.",
        "open_go": "App öffnen",
        "open_local": "Die App läuft auf diesem Computer",
        "done": "Geben Sie diesen Code auf dem anderen Gerät ein",
        "done_more": "Geben Sie ihn dort ein, wo Sie begonnen haben, bei {origin}, und nirgends sonst. Dann sind Sie "
        "dort angemeldet.",
        "code": "Ihr Code",
        "home": "Zur Startseite",
        "retry": "Neu beginnen",
    },
}

#: Error codes that say what a reason or a state says.
_SAME: Final = {
    "requirements_not_met": "requirements",
    "session_expired": "expired",
    "record_unreadable": "store_unavailable",
}

#: Headline and explanation, by error code or reason of rejection; what is not listed reads as ``failed``.
_ENDINGS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "en": {
        "cancelled": ("The login was cancelled", "You cancelled it in your ID card app. Nobody was logged in."),
        "document": (
            "Your ID card was not accepted",
            "It has expired, it is blocked, or it could not be checked. Nobody was logged in.",
        ),
        "requirements": (
            "What you shared is not enough",
            "This site asks for something that your ID card did not confirm, such as an age. Nobody was logged in.",
        ),
        "session_unknown": (
            "This login is not valid any more",
            "It was finished already, or it is not yours. Start again.",
        ),
        "browser_cookie_missing": (
            "This is not the browser in which the login began",
            "Your ID card app opened another browser, or yours keeps no cookies. Nobody was logged in. Start again in "
            "the browser that the app opens.",
        ),
        "expired": ("This login took too long", "A login has to be finished within a few minutes. Start again."),
        "result_pending": (
            "Your ID card app is not done yet",
            "Finish there first; it brings you back here. Nobody was logged in so far.",
        ),
        "wrong_state": ("This login has ended already", "It was used, or opened on another phone. Start again."),
        "login_refused": ("This site refused the login", "Nobody was logged in."),
        "rate_limited": ("Too many attempts", "Wait a moment, then try again."),
        "eid_server_unavailable": (
            "The ID card service cannot be reached",
            "It does not answer at the moment. Nobody was logged in. Try again in a few minutes.",
        ),
        "store_unavailable": (
            "This site cannot log you in at the moment",
            "Something that it needs is out of reach. Nobody was logged in. Try again in a few minutes.",
        ),
        "failed": ("The login did not work", "Your ID card app or the ID card service ended it. Nobody was logged in."),
    },
    "de": {
        "cancelled": (
            "Die Anmeldung wurde abgebrochen",
            "Sie haben sie in Ihrer Ausweis-App abgebrochen. Niemand wurde angemeldet.",
        ),
        "document": (
            "Ihr Ausweis wurde nicht angenommen",
            "Er ist abgelaufen, gesperrt oder konnte nicht geprüft werden. Niemand wurde angemeldet.",
        ),
        "requirements": (
            "Was Sie freigegeben haben, genügt nicht",
            "Diese Seite verlangt etwas, das Ihr Ausweis nicht bestätigt hat, etwa ein Alter. Niemand wurde "
            "angemeldet.",
        ),
        "session_unknown": (
            "Diese Anmeldung ist nicht mehr gültig",
            "Sie wurde schon abgeschlossen, oder sie gehört nicht Ihnen. Beginnen Sie von vorn.",
        ),
        "browser_cookie_missing": (
            "Das ist nicht der Browser, in dem die Anmeldung begann",
            "Ihre Ausweis-App hat einen anderen Browser geöffnet, oder Ihrer behält keine Cookies. Niemand wurde "
            "angemeldet. Beginnen Sie von vorn, in dem Browser, den die App öffnet.",
        ),
        "expired": (
            "Diese Anmeldung hat zu lange gedauert",
            "Eine Anmeldung muss nach wenigen Minuten abgeschlossen sein. Beginnen Sie von vorn.",
        ),
        "result_pending": (
            "Ihre Ausweis-App ist noch nicht fertig",
            "Schließen Sie dort erst ab; sie bringt Sie hierher zurück. Bisher wurde niemand angemeldet.",
        ),
        "wrong_state": (
            "Diese Anmeldung ist schon zu Ende",
            "Sie wurde benutzt oder auf einem anderen Smartphone geöffnet. Beginnen Sie von vorn.",
        ),
        "login_refused": ("Diese Seite hat die Anmeldung abgelehnt", "Niemand wurde angemeldet."),
        "rate_limited": ("Zu viele Versuche", "Warten Sie einen Moment und versuchen Sie es dann noch einmal."),
        "eid_server_unavailable": (
            "Der Ausweisdienst ist nicht erreichbar",
            "Er antwortet gerade nicht. Niemand wurde angemeldet. Versuchen Sie es in ein paar Minuten noch einmal.",
        ),
        "store_unavailable": (
            "Diese Seite kann Sie gerade nicht anmelden",
            "Etwas, das sie dafür braucht, ist nicht erreichbar. Niemand wurde angemeldet. Versuchen Sie es in ein "
            "paar Minuten noch einmal.",
        ),
        "failed": (
            "Die Anmeldung hat nicht geklappt",
            "Ihre Ausweis-App oder der Ausweisdienst hat sie beendet. Niemand wurde angemeldet.",
        ),
    },
}


def start_page(*, server: str, app_name: str, origin: str, lang: str, action: str) -> bytes:
    """On the phone, behind the QR code: says what is about to happen; a form that posts to ``action``."""
    text = _TEXTS[lang]
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=text["start"],
        body=f"""\
<div class="card">
<p class="lead">{text["start_more"].format(app=escape(app_name), origin=escape(origin))}</p>
<p class="detail"><strong>{text["start_warn"]}</strong></p>
<form method="post" action="{escape(action)}"><button class="button">{text["start_go"]}</button></form>
</div>
""",
    )


def open_page(*, server: str, app_name: str, lang: str, client_url: str, loopback_url: str = "") -> bytes:
    """A link that opens the eID client, and one for a client that runs on this computer."""
    text = _TEXTS[lang]
    local = f'<a class="button quiet" href="{escape(loopback_url)}">{text["open_local"]}</a>\n' if loopback_url else ""
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=text["open"],
        body=f"""\
<div class="card">
<p class="lead">{text["open_more"]}</p>
<div class="actions"><a class="button" href="{escape(client_url)}">{text["open_go"]}</a>
{local}</div>
</div>
""",
    )


def code_page(*, server: str, app_name: str, origin: str, lang: str, code: str) -> bytes:
    """On the phone, when the eID client is done: the code for the desktop."""
    text = _TEXTS[lang]
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=text["done"],
        body=f"""\
<div class="card">
<p class="code-shown"><span class="unseen">{text["code"]}: {" ".join(code)}</span>\
<strong aria-hidden="true">{code[:3]} {code[3:]}</strong></p>
<p class="detail">{text["done_more"].format(origin=escape(origin))}</p>
</div>
""",
    )


def ending_page(*, server: str, app_name: str, lang: str, code: str, retry: str, home: str, message: str = "") -> bytes:
    """A login that did not work: why, and what to do. ``retry`` is empty on a phone that cannot begin anew.

    ``message`` is the host app's own word on it.
    """
    text = _TEXTS[lang]
    said = f'<p class="detail">{escape(message)}</p>\n' if message else ""
    headline, explanation = _ENDINGS[lang].get(_SAME.get(code, code), _ENDINGS[lang]["failed"])
    again = f'<a class="button" href="{escape(retry)}">{text["retry"]}</a>\n' if retry else ""
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=headline,
        body=f"""\
<div class="card" data-code="{escape(code)}">
<p class="lead" role="alert">{explanation}</p>
{said}<div class="actions">{again}<a class="button quiet" href="{escape(home)}">{text["home"]}</a></div>
</div>
""",
    )
