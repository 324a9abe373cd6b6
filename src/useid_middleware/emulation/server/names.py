"""The names of a session: one for the eService, one for the client, and one for each message that leads back to it.

All are unguessable. The client's is derived from the eService's one way, so that a client can never ask for a result.
"""

import re
from hashlib import sha256
from typing import Final

from ..paos import Envelope, StartPAOS

#: Random bytes in the name of a session, and in that of a message.
SESSION_SIZE: Final = 32
MESSAGE_SIZE: Final = 16

_DERIVED: Final = b"useid-psk-id-v1\n"
_MESSAGE: Final = "urn:useid:paos:"
_RELATED: Final = re.compile(rb"urn:useid:paos:((?:[0-9a-f]{2}){1,256}):").search
_IDENTIFIED: Final = re.compile(rb"SessionIdentifier[^<>]{0,200}>\s*([!-;=-~]{1,128})\s*<").search


def new_id(drawn: bytes, *, psk_id: str = "") -> str:
    """A session's id from 32 random bytes, and behind them the name that the eService itself gave its PSK.

    Hexadecimal digits, as TR-03130-1 §3.3.1 wants it.
    """
    return drawn.hex() + psk_id.encode().hex()


def psk_id_of(session_id: str) -> str:
    """What the client knows the session by; of what is no session's id, nobody's name."""
    named = session_id[2 * SESSION_SIZE :]
    try:
        if named:
            return bytes.fromhex(named).decode()
    except ValueError:
        return ""
    return sha256(_DERIVED + session_id.encode()).hexdigest()


def message_id(psk_id: str, drawn: bytes) -> str:
    """A name for our next message (WS-Addressing MessageID)."""
    return f"{_MESSAGE}{psk_id.encode().hex()}:{drawn.hex()}"


def session_of(message: Envelope) -> str:
    """The session that a message says it belongs to, by its PSK identifier; empty for none."""
    if isinstance(message.body, StartPAOS):
        return message.body.session_identifier
    return _session_related(message.relates_to.encode())


def session_in(data: bytes) -> str:
    """The same of a message that does not parse: the first name that its bytes have."""
    identified = _IDENTIFIED(data)
    return _session_related(data) or ("" if identified is None else identified[1].decode("ascii"))


def _session_related(data: bytes) -> str:
    found = _RELATED(data)
    return "" if found is None else bytes.fromhex(found[1].decode("ascii")).decode("utf-8", "replace")
