"""Secure messaging with AES (TR-03110-3 appendix F): every command and response encrypted and authenticated.

A session is a value: each function takes one and returns the next, whose counter is one higher. Whoever keeps using an
old session replays a counter, and the other side finds a wrong MAC. After any ``SecureMessagingError`` the session must
end (TR-03110-3 F.3); this module cannot go on by itself, since it returns no next session.

Data objects: 87 (or 85 with odd INS) the encrypted data, 97 Le, 99 the status word, 8E the MAC.
"""

from typing import Final, TypeVar

from .._codec import Record, replace
from .apdu import MAX_SHORT_DATA, MAX_SHORT_NE, Command, Response
from .errors import SecureMessagingError, TLVError
from .exchange import Exchange
from .keys import BLOCK, MAC_SIZE, SessionKeys, encrypt, pad, unpad
from .tlv import TLV, build, parse_all

T = TypeVar("T")

ENCRYPTED_PLAIN: Final = 0x85
ENCRYPTED_PADDED: Final = 0x87
EXPECTED_LENGTH: Final = 0x97
STATUS: Final = 0x99
CHECKSUM: Final = 0x8E

_SECURE: Final = 0x0C
#: In 87: what follows is padded as ISO 7816-4 §10.2.3.1 says.
_PADDED: Final = b"\x01"
_MISSING: Final = 0x6987
_NE_97: Final = {1: 0x100, 2: 0x10000}


class SecureSession(Record, frozen=True):
    """One side of a secured dialogue: the keys, and the send sequence counter as it stands."""

    keys: SessionKeys
    counter: int = 0

    def next(self) -> "SecureSession":
        """The session for the next command or response."""
        return SecureSession(self.keys, self.counter + 1)


def protect_command(session: SecureSession, command: Command) -> tuple[SecureSession, Command]:
    """The terminal's side: the next session and the protected command."""
    session = session.next()
    cla = command.cla | _SECURE
    body = b""
    if command.data:
        body += _encrypted(session, command.data, odd=bool(command.ins & 1))
    if command.ne:
        # As many bytes as Le itself would have: 00 and 0000 ask for all there is.
        size = 1 if command.ne <= MAX_SHORT_NE else 2
        body += build(EXPECTED_LENGTH, (command.ne % (1 << 8 * size)).to_bytes(size, "big"))
    header = bytes((cla, command.ins, command.p1, command.p2))
    body += build(CHECKSUM, session.keys.mac_of(_mac_input(session, header, body)))
    extended = command.ne > MAX_SHORT_NE or len(body) > MAX_SHORT_DATA
    return session, replace(command, cla=cla, data=body, ne=0x10000 if extended else MAX_SHORT_NE)


def unprotect_command(session: SecureSession, command: Command) -> tuple[SecureSession, Command]:
    """The card's side: the next session and the plain command, or ``SecureMessagingError``."""
    if not command.secured:
        raise SecureMessagingError("expected a command with secure messaging (CLA 0C)", status_word=_MISSING)
    session = session.next()
    encrypted_tag = ENCRYPTED_PLAIN if command.ins & 1 else ENCRYPTED_PADDED
    objects = _verified(session, command.header, command.data, allowed=(encrypted_tag, EXPECTED_LENGTH))
    data = _decrypted(session, objects.get(encrypted_tag))
    ne = 0
    if EXPECTED_LENGTH in objects:
        le = objects[EXPECTED_LENGTH].value
        if len(le) not in _NE_97:
            raise SecureMessagingError(f"97: expected one or two bytes, found {len(le)}")
        ne = int.from_bytes(le, "big") or _NE_97[len(le)]
    return session, replace(command, cla=command.cla & ~_SECURE, data=data, ne=ne)


def protect_response(
    session: SecureSession, response: Response, *, odd: bool = False
) -> tuple[SecureSession, Response]:
    """The card's side: the next session and the protected response. ``odd`` says that the command's INS was."""
    session = session.next()
    body = _encrypted(session, response.data, odd=odd) if response.data else b""
    body += build(STATUS, response.sw.to_bytes(2, "big"))
    body += build(CHECKSUM, session.keys.mac_of(_mac_input(session, b"", body)))
    return session, Response(body, response.sw)


def unprotect_response(
    session: SecureSession, response: Response, *, odd: bool = False
) -> tuple[SecureSession, Response]:
    """The terminal's side: the next session and the plain response, or ``SecureMessagingError``.

    A card that has dropped the session answers without data objects; the error's ``status_word`` is then the card's.
    """
    if not response.data:
        raise SecureMessagingError("expected a protected response, found a status word alone", status_word=response.sw)
    session = session.next()
    encrypted_tag = ENCRYPTED_PLAIN if odd else ENCRYPTED_PADDED
    objects = _verified(session, b"", response.data, allowed=(encrypted_tag, STATUS))
    status = objects.get(STATUS)
    if status is None:
        raise SecureMessagingError("expected a protected status word (99)", status_word=_MISSING)
    if status.value != response.sw.to_bytes(2, "big"):
        raise SecureMessagingError("expected the protected status word to be the response's own")
    return session, Response(_decrypted(session, objects.get(encrypted_tag)), response.sw)


def protect_exchange(exchange: Exchange[T], session: SecureSession) -> Exchange[tuple[T, SecureSession]]:
    """The same exchange inside secure messaging. Returns its result and the session as it stands afterwards."""
    try:
        command = next(exchange)
        while True:
            session, protected = protect_command(session, command)
            session, response = unprotect_response(session, (yield protected), odd=bool(command.ins & 1))
            command = exchange.send(response)
    except StopIteration as end:
        result: T = end.value
        return result, session
    finally:
        exchange.close()


def largest_plain(limit: int) -> int:
    """How many bytes of plain data fit into a protected response of at most ``limit`` bytes of data (0 if none do).

    A card answers a short Le of 00 with no more than 256 bytes, and all of them are data objects.
    """
    size = limit - len(build(STATUS, bytes(2))) - len(build(CHECKSUM, bytes(MAC_SIZE)))
    blocks = max(size, 0) // BLOCK
    while blocks and len(build(ENCRYPTED_PADDED, _PADDED, bytes(blocks * BLOCK))) > size:
        blocks -= 1
    # The last byte of the last block is padding.
    return max(blocks * BLOCK - 1, 0)


def _encrypted(session: SecureSession, data: bytes, *, odd: bool) -> bytes:
    """Data object 87, or 85, which goes without a padding indicator (TR-03110-3 F.2.1)."""
    cryptogram = encrypt(session.keys.enc, pad(data), iv=_iv(session))
    return build(ENCRYPTED_PLAIN, cryptogram) if odd else build(ENCRYPTED_PADDED, _PADDED, cryptogram)


def _decrypted(session: SecureSession, item: TLV | None) -> bytes:
    if item is None:
        return b""
    cryptogram = item.value
    if item.tag == ENCRYPTED_PADDED:
        if cryptogram[:1] != _PADDED:
            raise SecureMessagingError("87: expected the padding indicator 01")
        cryptogram = cryptogram[1:]
    if not cryptogram or len(cryptogram) % BLOCK:
        raise SecureMessagingError(f"{item.tag:02X}: expected whole blocks, found {len(cryptogram)} bytes")
    plain = unpad(session.keys.decrypt(cryptogram, iv=_iv(session)))
    if plain is None:
        raise SecureMessagingError(f"{item.tag:02X}: expected padded data")
    return plain


def _verified(session: SecureSession, header: bytes, data: bytes, *, allowed: tuple[int, int]) -> dict[int, TLV]:
    """The data objects by tag, once the MAC over them is verified; the order is that of the standard."""
    try:
        found = parse_all(data)
    except TLVError as error:
        raise SecureMessagingError(f"secure messaging: {error.message}") from None
    if not found or found[-1].tag != CHECKSUM:
        raise SecureMessagingError("expected a MAC (8E) as the last data object", status_word=_MISSING)
    *objects, checksum = found
    tags = tuple(item.tag for item in objects)
    if tags not in ((), allowed[:1], allowed[1:], allowed):
        raise SecureMessagingError(f"expected {allowed[0]:02X}, {allowed[1]:02X}, 8E in this order, each at most once")
    protected = data[: len(data) - len(checksum.encoded)]
    if not session.keys.is_mac_of(_mac_input(session, header, protected), checksum.value):
        raise SecureMessagingError("the MAC (8E) does not verify")
    return {item.tag: item for item in objects}


def _mac_input(session: SecureSession, header: bytes, body: bytes) -> bytes:
    """SSC ‖ padded header ‖ padded data objects; what is empty is not padded either (ISO 7816-4 §10.2.3.1)."""
    return _counter(session) + (pad(header) if header else b"") + (pad(body) if body else b"")


def _iv(session: SecureSession) -> bytes:
    return session.keys.encrypt_block(_counter(session))


def _counter(session: SecureSession) -> bytes:
    return session.counter.to_bytes(BLOCK, "big")
