"""Where a login may lead: the one function that decides redirect targets."""

from typing import Final
from urllib.parse import urlsplit

from ..errors import RequestError

_MAX_LENGTH: Final = 2000
#: Line breaks and tabs vanish in a browser, so what stands behind them moves up.
_CODES: Final = (("%09", ""), ("%0a", ""), ("%0d", ""), ("%00", "\0"), ("%2f", "/"), ("%5c", "\\"))


def check_redirect(target: str, *, origin: str, allowed_origins: tuple[str, ...] = ()) -> str:
    r"""``target`` if it leads to this site or to an allowed origin; else ``return_url_refused``.

    Judged by what a browser would do with it (WHATWG URL): it strips tabs and line breaks, reads ``\`` as ``/``, and
    takes ``//host`` for another host. So such characters are refused outright, in their percent-encoded spellings too
    where a proxy or the app might decode them once more in the path's first segments.
    """
    if not target or len(target) > _MAX_LENGTH or not target.isascii() or not target.isprintable():
        raise _refused()
    if " " in target or "\\" in target:
        raise _refused()
    if target.startswith("/"):
        _check_path(target)
        return target
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError:
        raise _refused() from None
    if "@" in parts.netloc or not parts.hostname or port == 0:
        raise _refused()
    # Compared as text: a spelling that is not the configured one is not the configured origin.
    target_origin = f"{parts.scheme}://{parts.netloc}"
    if target_origin not in (origin, *allowed_origins) or not target.startswith(target_origin + "/"):
        raise _refused()
    _check_path(target.removeprefix(target_origin))
    return target


def _check_path(target: str) -> None:
    path = target.partition("?")[0].partition("#")[0].lower()
    while "%25" in path:
        path = path.replace("%25", "%")
    if "%" in path:
        for code, character in _CODES:
            path = path.replace(code, character)
    if path.startswith("//") or "\\" in path or "\0" in path:
        raise _refused()


def _refused() -> RequestError:
    return RequestError("return_url_refused", "returnUrl: expected a path of this site or an allow-listed URL")
