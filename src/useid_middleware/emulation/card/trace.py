"""Commands and answers as text that people read: names, decoded fields, and the plain content of secure messaging.

Passwords and session keys appear only with ``with_secrets``. What an eService may read from the card does appear.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Final

from ...eac.apdu import Command, Ins, Response, describe
from ...eac.chat import CHAT
from ...eac.errors import EACError
from ...eac.keys import PasswordId
from ...eac.oids import OID, decode_oid
from ...eac.tlv import TLV, parse_all
from .trace_names import ANSWERED, COMMANDS, SELECTED, SENT, Members
from .transmission import Transmission

#: Of longer values the beginning is shown, and how long they are.
_MAX_SHOWN: Final = 48
_INDENT: Final = "     "
_DATE_SIZE: Final = 6


def describe_transmission(transmission: Transmission, *, with_secrets: bool = False) -> str:
    """A command and its answer, in lines."""
    return "\n".join(_lines(transmission, with_secrets=with_secrets))


def describe_objects(data: bytes) -> Iterator[str]:
    """Data objects, a line each."""
    return _decoded(data, {})


def _lines(transmission: Transmission, *, with_secrets: bool) -> Iterator[str]:
    command, response = transmission.command, transmission.response
    if command is None:
        yield f"--> {transmission.sent.hex().upper() or 'nothing'}: no command that this card can read"
    else:
        lock = " (secure messaging)" if transmission.protected else ""
        yield f"--> {name_of(command)}{lock}"
        yield f"{_INDENT}{command.header.hex(' ').upper()}{_lengths(command)}"
        for line in _data(command, with_secrets=with_secrets):
            yield _INDENT + line
    yield f"<-- {describe(response.sw)}{_size(response)}"
    for line in _answer(command, response):
        yield _INDENT + line
    is_agreed = command is not None and command.ins == Ins.GENERAL_AUTHENTICATE
    if with_secrets and is_agreed and transmission.keys is not None:
        yield f"{_INDENT}session keys: enc {transmission.keys.enc.hex()} mac {transmission.keys.mac.hex()}"


def name_of(command: Command) -> str:
    """The command's name and what its P1 and P2 say."""
    exact, general = (command.ins, command.p1, command.p2), (command.ins, None, None)
    name = COMMANDS.get(exact) or COMMANDS.get(general, f"INS {command.ins:02X}")
    explain = _EXPLAINED.get(command.ins)
    return f"{name} {explain(command)}" if explain else name


def _select(command: Command) -> str:
    return SELECTED.get(command.data) or command.data.hex().upper()


def _read(command: Command) -> str:
    if command.p1 & 0x80:
        return f"SFI {command.p1 & 0x1F:02X}, offset {command.p2}"
    return f"offset {command.p1 << 8 | command.p2}"


def _lengths(command: Command) -> str:
    data = f"  Lc {len(command.data)}" if command.data else ""
    return data + (f"  Ne {command.ne}" if command.ne else "")


def _size(response: Response) -> str:
    return f"  {len(response.data)} bytes" if response.data else ""


def _data(command: Command, *, with_secrets: bool) -> Iterator[str]:
    if command.ins == Ins.SELECT or not command.data:
        return
    if command.ins == Ins.RESET_RETRY_COUNTER and not with_secrets:
        yield f"new password: {len(command.data)} bytes, not shown"
        return
    yield from _decoded(command.data, SENT.get((command.ins, command.p1, command.p2), {}))


def _answer(command: Command | None, response: Response) -> Iterator[str]:
    if response.data:
        yield from _decoded(response.data, ANSWERED.get(command.ins if command else 0, {}))


def _decoded(data: bytes, names: Members) -> Iterator[str]:
    """The data objects, a line each; one line of hex for what is no sequence of them, such as a part of a file."""
    try:
        objects = parse_all(data)
    except EACError:
        yield _shown(data)
        return
    yield from _objects(objects, names, "")


def _objects(objects: tuple[TLV, ...], names: Members, indent: str) -> Iterator[str]:
    for item in objects:
        label = f"{indent}{item.tag:02X} {names.get(item.tag, '')}".rstrip()
        if item.tag in _WHOLE:
            yield f"{label}: {_WHOLE[item.tag](item)}"
        elif item.children:
            yield label
            yield from _objects(item.children, names, indent + "  ")
        else:
            yield f"{label}: {_VALUES.get(names.get(item.tag, ''), _value)(item)}"


def _value(item: TLV) -> str:
    if item.tag in _TEXT_TAGS:
        return repr(item.value.decode("utf-8", errors="replace"))
    return _oid(item) if item.tag == _OBJECT_IDENTIFIER else _shown(item.value)


def _shown(value: bytes) -> str:
    text = value[:_MAX_SHOWN].hex().upper()
    return f"{text}… ({len(value)} bytes)" if len(value) > _MAX_SHOWN else text


def _oid(item: TLV) -> str:
    try:
        name = decode_oid(item.value)
    except EACError:
        return _shown(item.value)
    return f"id-{_OIDS[name].replace('_', '-')}" if name in _OIDS else name


def _password(item: TLV) -> str:
    number = int.from_bytes(item.value, "big")
    return _PASSWORDS.get(number, str(number))


def _reference(item: TLV) -> str:
    return repr(item.value.decode("latin-1"))


def _date(item: TLV) -> str:
    digits = item.value
    try:
        if len(digits) != _DATE_SIZE:
            raise ValueError
        return str(date(2000 + 10 * digits[0] + digits[1], 10 * digits[2] + digits[3], 10 * digits[4] + digits[5]))
    except ValueError:
        return _shown(digits)


def _chat(item: TLV) -> str:
    try:
        chat = CHAT.from_tlv(item)
    except EACError:
        return _shown(item.value)
    return f"{chat.terminal_type.name.replace('_', ' ').lower()}, {', '.join(chat.names).lower() or 'no rights'}"


_OBJECT_IDENTIFIER: Final = 0x06
#: UTF8String, NumericString, PrintableString, IA5String.
_TEXT_TAGS: Final = (0x0C, 0x12, 0x13, 0x16)
_OIDS: Final = {str(oid): oid.name for oid in OID}
_PASSWORDS: Final = {int(each): each.name for each in PasswordId}

_EXPLAINED: Final[Mapping[int, Callable[[Command], str]]] = {
    Ins.SELECT: _select,
    Ins.READ_BINARY: _read,
    Ins.UPDATE_BINARY: _read,
}
#: How the value of a data object is shown, by its name.
_VALUES: Final[Mapping[str, Callable[[TLV], str]]] = {
    "protocol": _oid,
    "kind": _oid,
    "password": _password,
    "reference": _reference,
    "CAR": _reference,
    "previous CAR": _reference,
    "CHR": _reference,
    "effective": _date,
    "expires": _date,
}
#: Shown in one line although it has members.
_WHOLE: Final[Mapping[int, Callable[[TLV], str]]] = {0x7F4C: _chat}
