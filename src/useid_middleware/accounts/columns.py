"""What the columns of the accounts can hold: checked on the way in, in memory as well, so that all places agree."""

from typing import Final

from ..errors import malformed
from ..identity import Account
from .base import MAX_CREDENTIAL_ID, MAX_SIGN_COUNT, Passkey

#: Bytes of UTF-8 in one text column. A PostgreSQL index entry holds 2,704 bytes, and (provider, subject) is one entry.
TEXT_LIMIT: Final = 1000
#: Bytes of UTF-8 of all roles of an account together; no index holds them.
ROLES_LIMIT: Final = 16_000
#: Bytes of a COSE key; no index holds it. Authenticator data, where the key comes from, are no longer than that.
PUBLIC_KEY_LIMIT: Final = 16_384
#: WebAuthn Level 3 §5.4.3: "a maximum size of 64 bytes".
USER_HANDLE_LIMIT: Final = 64


def is_storable(value: str) -> bool:
    """Whether a text column can hold ``value``: within :data:`TEXT_LIMIT`, no NUL (PostgreSQL), no lone surrogate."""
    try:
        return len(value.encode()) <= TEXT_LIMIT and "\0" not in value
    except UnicodeEncodeError:
        return False


def check_text(member: str, value: str, *, may_be_empty: bool = False) -> str:
    """``value`` if a column can hold it, else ``RequestError`` (``malformed_request``) that names ``member``."""
    if not is_storable(value) or not (value or may_be_empty):
        raise malformed(member, f"{0 if may_be_empty else 1} to {TEXT_LIMIT} bytes of UTF-8 without NUL")
    return value


def as_id(value: str) -> str:
    """An id to look for. What no column can hold is nobody's id, and neither is the empty string."""
    return value if is_storable(value) else ""


def check_account(account: Account) -> tuple[str, str, str]:
    """Username, e-mail address and roles as columns hold them, or ``malformed_request``."""
    roles = _check_lines("roles", account.roles, limit=ROLES_LIMIT)
    return check_text("username", account.username), check_text("email", account.email, may_be_empty=True), roles


def check_passkey(passkey: Passkey) -> str:
    """The transports of a passkey that columns can hold, as their column holds them; else ``malformed_request``."""
    check_text("id", passkey.id)
    check_text("label", passkey.label, may_be_empty=True)
    check_text("attestationFormat", passkey.attestation_format)
    _check_size("credentialId", passkey.credential_id, 1, MAX_CREDENTIAL_ID)
    _check_size("publicKey", passkey.public_key, 1, PUBLIC_KEY_LIMIT)
    _check_size("userHandle", passkey.user_handle, 1, USER_HANDLE_LIMIT)
    _check_size("aaguid", passkey.aaguid, 16, 16)
    if not 0 <= passkey.sign_count <= MAX_SIGN_COUNT:
        raise malformed("signCount", "an unsigned number of 32 bits")
    return _check_lines("transports", passkey.transports, limit=TEXT_LIMIT)


def lines(text: str) -> tuple[str, ...]:
    """The names that a column holds, one a line."""
    return tuple(text.split("\n")) if text else ()


def _check_lines(member: str, names: tuple[str, ...], *, limit: int) -> str:
    joined = "\n".join(names)
    fits = len(joined) <= limit and all(is_storable(name) and name and "\n" not in name for name in names)
    if not fits or len(joined.encode()) > limit:
        raise malformed(member, f"names without line breaks, {limit} bytes of UTF-8 in all")
    return joined


def _check_size(member: str, value: bytes, least: int, most: int) -> None:
    if not least <= len(value) <= most:
        raise malformed(member, f"{least} to {most} bytes" if least < most else f"{most} bytes")
