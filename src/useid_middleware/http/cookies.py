"""Reading and writing cookies (RFC 6265bis).

Over https a cookie is called ``__Host-…`` and is Secure, so that no other host and no plain connection can set it. Over
http, which settings accept for loopback hosts alone, browsers may drop such cookies; there the bare name is used.
"""

import re
from dataclasses import dataclass
from typing import Final

from .asgi import Headers

#: The values we write: base64url. Nothing else is taken for one of ours.
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch


@dataclass(frozen=True, slots=True)
class Cookie:
    """One of our cookies: always HttpOnly, host-only, for the whole site."""

    base_name: str
    same_site: str = "Lax"
    #: Sent in frames of other sites' pages too, and kept apart for each of those sites (CHIPS); over https alone.
    partitioned: bool = False

    def name(self, *, secure: bool) -> str:
        """The name on the wire."""
        return f"__Host-{self.base_name}" if secure else self.base_name

    def read(self, headers: Headers, *, secure: bool) -> str | None:
        """The value, or ``None`` when absent, not of our making, or sent twice with different values."""
        prefix = f"{self.name(secure=secure)}=".encode()
        found: bytes | None = None
        for name, value in headers:
            if name != b"cookie" or prefix not in value:
                continue
            for part in value.split(b";"):
                part = part.strip()
                if part.startswith(prefix):
                    content = part[len(prefix) :]
                    if found is not None and found != content:
                        return None
                    found = content
        text = found.decode("latin-1") if found is not None else ""
        return text if _VALUE(text) else None

    def set(self, value: str, *, secure: bool, max_age: int | None = None) -> tuple[bytes, bytes]:
        """The ``Set-Cookie`` header; without ``max_age`` (seconds) the cookie ends with the browser."""
        apart = self.partitioned and secure
        same_site = "None; Partitioned" if apart else self.same_site
        text = f"{self.name(secure=secure)}={value}; Path=/; HttpOnly; SameSite={same_site}"
        if max_age is not None:
            text += f"; Max-Age={max_age}"
        return b"set-cookie", (f"{text}; Secure" if secure else text).encode()

    def clear(self, *, secure: bool) -> tuple[bytes, bytes]:
        """The ``Set-Cookie`` header that removes the cookie."""
        return self.set("", secure=secure, max_age=0)
