"""Ways to change a ceremony, as values for its ``edit_…`` attributes and ingredients."""

from collections.abc import Callable
from typing import Any

from tests.webauthn.authenticator import CHALLENGE, Registering
from useid_middleware._codec import b64url

#: A name, what is changed, and the code of the refusal.
Case = tuple[str, dict[str, Any], str]

CREATE: dict[str, Any] = {
    "type": "webauthn.create",
    "challenge": b64url(CHALLENGE),
    "origin": "https://login.example.org",
    "crossOrigin": False,
}
GET: dict[str, Any] = {**CREATE, "type": "webauthn.get"}


def members(**changed: Any) -> Callable[[dict[str, Any]], None]:
    """Set members of a map."""

    def edit(target: dict[str, Any]) -> None:
        target.update(changed)

    return edit


def without(*names: Any) -> Callable[[dict[str, Any]], None]:
    """Take members out of a map."""

    def edit(target: dict[str, Any]) -> None:
        for name in names:
            del target[name]

    return edit


def inside(name: str, edit: Callable[[Any], None]) -> Callable[[dict[str, Any]], None]:
    """Change what is inside a member."""

    def outer(target: dict[str, Any]) -> None:
        edit(target[name])

    return outer


def parts(**changed: Any) -> Callable[[Registering, dict[str, Any]], None]:
    """Set what goes into a statement before it is signed."""

    def edit(ceremony: Registering, found: dict[str, Any]) -> None:
        found.update(changed)

    return edit


def part(name: str, edit: Callable[[Any], Any]) -> Callable[[Registering, dict[str, Any]], None]:
    """Replace one part by what is made of it."""

    def outer(ceremony: Registering, found: dict[str, Any]) -> None:
        found[name] = edit(found[name])

    return outer


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace bytes that are there once."""

    def edit(data: bytes) -> bytes:
        assert data.count(old) == 1, f"expected {old!r} once"
        return data.replace(old, new)

    return edit


def appended(data: bytes) -> Callable[[bytes], bytes]:
    """Put bytes at the end."""
    return lambda before: before + data


def cut(size: int) -> Callable[[bytes], bytes]:
    """Take bytes off the end."""
    return lambda before: before[:-size]


def constant(data: bytes) -> Callable[[bytes], bytes]:
    """Put bytes in the place of all."""
    return lambda before: data


def flipped(at: int) -> Callable[[bytes], bytes]:
    """Flip one bit of the byte there."""

    def edit(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[at] ^= 0x01
        return bytes(changed)

    return edit
