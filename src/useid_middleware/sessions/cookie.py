"""The cookie that opens a login session."""

from typing import Final

from ..http.cookies import Cookie

SESSION_COOKIE: Final = Cookie("useid-session")
