"""The answer to a request that fails: JSON for programs, and a page for a person where something of ours is away."""

from html import escape
from typing import Final

from ..errors import UnavailableError, UseIDError
from ..http.asgi import Scope
from ..http.responses import Response, error_response, html_response, retry_after
from ..settings import Settings
from .serve import choose_language, document

#: For :func:`unavailable_page`.
UNAVAILABLE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "heading": "This page is not available at the moment",
        "lead": "A part of the service cannot be reached. Try again in a moment.",
        "retry": "Try again",
        "code": "If you ask for help, mention this code:",
    },
    "de": {
        "heading": "Diese Seite ist gerade nicht verfügbar",
        "lead": "Ein Teil des Dienstes ist nicht erreichbar. Versuchen Sie es gleich noch einmal.",
        "retry": "Noch einmal versuchen",
        "code": "Wenn Sie um Hilfe bitten, nennen Sie diesen Code:",
    },
}


def answer_error(error: UseIDError, scope: Scope, *, settings: Settings, prefix: str) -> Response:
    """What to send instead of an answer. ``prefix`` is where our own addresses begin, below the root path."""
    headers = dict(scope["headers"])
    if not isinstance(error, UnavailableError) or not prefers_html(headers.get(b"accept", b"").decode("latin-1")):
        return error_response(error)
    page = unavailable_page(
        server=scope.get("root_path", "").rstrip("/") + prefix,
        app_name=settings.app_name,
        lang=choose_language(headers.get(b"accept-language", b"").decode("latin-1")),
        code=error.code,
        can_retry=scope["method"] in ("GET", "HEAD"),
    )
    return html_response(
        page, status=error.status_hint, content_security_policy=UNAVAILABLE_POLICY, headers=retry_after(error)
    )


def prefers_html(accept: str) -> bool:
    """Whether ``Accept`` names HTML, and JSON not before it. Scripts that say nothing in particular want JSON."""
    weights = {"text/html": 0.0, "application/json": 0.0}
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        if media_type in weights:
            weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
            try:
                weights[media_type] = float(weight)
            except ValueError:
                weights[media_type] = 0.0
    return weights["text/html"] > 0 and weights["text/html"] >= weights["application/json"]


def unavailable_page(*, server: str, app_name: str, lang: str, code: str, can_retry: bool) -> bytes:
    """That the page asked for cannot be had now, and a link to ask once more. Send it with :data:`UNAVAILABLE_POLICY`.

    Asking again is for requests that change nothing; the browser offers to repeat others by itself.
    """
    text = _TEXTS.get(lang, _TEXTS["en"])
    again = f'<a class="button" href="">{text["retry"]}</a>\n' if can_retry else ""
    return document(
        server=server,
        app_name=app_name,
        lang=lang,
        head="",
        heading=text["heading"],
        body=f"""\
<div class="card" data-status="error">
<div class="badge small" aria-hidden="true">!</div>
<p class="lead" role="alert">{text["lead"]}</p>
{again}<p class="fine">{text["code"]} <code>{escape(code)}</code></p>
</div>
""",
    )
