"""The chain of the audit log, pure: an entry is one line of canonical JSON that names the hash of the one before.

::

    {"at":"2027-01-15T08:00:00.000Z","data":{…},"event":"LoginCompleted","hash":"…","previous":"…","seq":7}

Canonical: the members in the order of their names, no blanks, ASCII. ``hash`` is the SHA-256 of the same line without
``hash``, or with a key its HMAC-SHA-256 (FIPS 180-4, RFC 2104), in hexadecimal digits. ``seq`` counts from 1;
``previous`` of the first entry is 64 zeros. A log that goes on in another file goes on counting and chaining.

A line that a crash tore stays where it is; the entry behind it is ``log_repaired`` and names its SHA-256.
"""

import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, TypeAlias

#: What an entry may tell: no floats, whose spelling is a matter of taste.
Value: TypeAlias = str | int | list[str] | None
Data: TypeAlias = Mapping[str, Value]

#: The entries about the log itself.
STARTED: Final = "log_started"
CONTINUED: Final = "log_continued"
REPAIRED: Final = "log_repaired"
LOST: Final = "entries_lost"
LEFT_OUT: Final = "attempts_left_out"

_GENESIS: Final = "0" * 64
_is_digest: Final = re.compile(r"[0-9a-f]{64}").fullmatch


class Fault(StrEnum):
    """What is wrong with a log."""

    MALFORMED = "malformed"
    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TORN = "torn"
    TRUNCATED = "truncated"


class WrongHash(ValueError):
    """The line has the form of an entry and not its hash: it was altered, or written with another key."""


class ChainBroken(Exception):  # it is a finding about a file, not an error of a request
    """The log is not as it was written. ``line`` counts from 1."""

    def __init__(self, line: int, fault: Fault, message: str) -> None:
        super().__init__(f"line {line}: {fault}: {message}")
        self.line = line
        self.fault = fault
        self.message = message


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry, as one keeps it elsewhere: ``7:…``."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """The head in this text, or ``ValueError``."""
        seq, _, digest = text.strip().partition(":")
        if not (seq.isascii() and seq.isdigit() and _is_digest(digest)):
            raise ValueError("expected a head such as 7:… with 64 hexadecimal digits")
        return cls(int(seq), digest)


#: The head of a log that has no entry yet.
GENESIS: Final = Head(0, _GENESIS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as read."""

    seq: int
    at: str
    event: str
    data: Data
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        """The head of the log up to here."""
        return Head(self.seq, self.hash)


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that is as it was written. ``first`` is above 1 where older files were not there to be read."""

    first: int
    entries: int
    torn: int
    head: Head


def append(head: Head, *, event: str, data: Data, at: float, key: bytes | None) -> tuple[bytes, Head]:
    """The line of the entry behind ``head``, with its line feed, and the new head. ``at`` is Unix seconds."""
    # Whole milliseconds: what a float's last digits say depends on who prints them.
    moment = datetime.fromtimestamp(round(at * 1000) / 1000, UTC).isoformat(timespec="milliseconds")
    members: dict[str, Any] = {
        "at": moment.removesuffix("+00:00") + "Z",
        "data": dict(data),
        "event": event,
        "previous": head.hash,
        "seq": head.seq + 1,
    }
    digest = _digest(members, key)
    return _canonical(members | {"hash": digest}) + b"\n", Head(head.seq + 1, digest)


def parse_entry(line: bytes, *, key: bytes | None) -> Entry:
    """The entry in a line (without its line feed): ``ValueError`` where there is none, :class:`WrongHash`."""
    return _check_hash(_members(line), key)


def read_entry(line: bytes) -> Entry | None:
    """The entry in a line as it stands there, unchecked; ``None`` where there is none."""
    try:
        return Entry(**_members(line.removesuffix(b"\n")))
    except ValueError:
        return None


def torn_lines(lines: Sequence[bytes]) -> Data:
    """What ``log_repaired`` tells about the lines before it."""
    torn = b"\n".join(lines)
    return {"lines": len(lines), "sha256": sha256(torn).hexdigest(), "size": len(torn)}


def verify(lines: Iterable[bytes], *, key: bytes | None, expected_head: Head | None = None) -> Verified:
    """Check a whole log, line by line, or say where it is broken first and how: :class:`ChainBroken`.

    Entries missing at the end are only noticed with ``expected_head``, the head of an earlier time that was kept
    elsewhere; but a log has at least the entry that begins it.
    """
    rest = iter(enumerate(lines, 1))
    head, first, entries, torn, number = GENESIS, 0, 0, 0, 0
    met = expected_head is None
    strange: list[bytes] = []
    for number, line in rest:
        try:
            members = _members(line.removesuffix(b"\n"))
        except ValueError:
            strange.append(line.removesuffix(b"\n"))
            continue
        tells = members["event"] == REPAIRED and members["data"] == torn_lines(strange)
        if strange and not tells:
            raise _no_entry(number - len(strange), head, members)
        if members["event"] == REPAIRED and not tells:
            raise ChainBroken(number, Fault.REMOVED, "the torn lines that it tells of are missing")
        torn += len(strange)
        strange = []
        try:
            entry = _check_hash(members, key)
        except WrongHash as error:
            raise _altered(number, head, rest, str(error)) from None
        if not entries:
            first = entry.seq
            if entry.event == CONTINUED:
                head = Head(entry.seq - 1, entry.previous)
            elif entry.event != STARTED and not (entry.event == REPAIRED and entry.seq == 1):
                raise ChainBroken(number, Fault.REMOVED, f"the log begins with entry {entry.seq}, in its middle")
        if (entry.seq, entry.previous) != (head.seq + 1, head.hash):
            raise _out_of_place(number, entry, head, rest)
        head, entries = entry.head, entries + 1
        if expected_head is not None and entry.seq == expected_head.seq:
            if entry.hash != expected_head.hash:
                raise ChainBroken(number, Fault.ALTERED, f"entry {entry.seq} is not the one of the expected head")
            met = True
    if strange:
        raise ChainBroken(
            number - len(strange) + 1, Fault.TORN, "the log ends with what is no entry; the next writer will say so"
        )
    if not entries:
        raise ChainBroken(1, Fault.TRUNCATED, "there is no entry, not even the one that begins a log")
    if expected_head is not None and not met:
        if expected_head.seq < first:
            raise ChainBroken(1, Fault.REMOVED, f"the log begins behind the expected head, entry {expected_head.seq}")
        missing = f"the log ends with entry {head.seq}, before the expected head, entry {expected_head.seq}"
        raise ChainBroken(number + 1, Fault.TRUNCATED, missing)
    return Verified(first, entries, torn, head)


def _canonical(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _digest(members: Mapping[str, Any], key: bytes | None) -> str:
    content = _canonical(members)
    return sha256(content).hexdigest() if key is None else hmac.digest(key, content, "sha256").hex()


def _check_hash(members: dict[str, Any], key: bytes | None) -> Entry:
    if not (_is_digest(members["hash"]) and _is_digest(members["previous"])):
        raise WrongHash("what it has for hashes are none")  # No crash leaves such a line: it is whole.
    content = {name: value for name, value in members.items() if name != "hash"}
    if not hmac.compare_digest(members["hash"], _digest(content, key)):
        raise WrongHash("its hash is not that of its content")
    return Entry(**members)


def _members(line: bytes) -> dict[str, Any]:
    """The members of a line that is spelled as we spell it; a second spelling would be a second line."""
    try:
        members = json.loads(line)
        if isinstance(members, dict) and _canonical(members) == line:
            kinds = {name: type(value) for name, value in members.items()}
            if kinds == {"at": str, "data": dict, "event": str, "hash": str, "previous": str, "seq": int}:
                return members
    except (ValueError, RecursionError):
        pass
    raise ValueError("it is not an entry as this package writes it")


def _ahead(rest: Iterator[tuple[int, bytes]]) -> Iterator[dict[str, Any]]:
    """What can be read of the lines to come, for a diagnosis: their hashes are not checked any more."""
    for _, line in rest:
        try:
            yield _members(line.removesuffix(b"\n"))
        except ValueError:
            continue


def _no_entry(number: int, head: Head, following: dict[str, Any]) -> ChainBroken:
    if following["previous"] == head.hash:
        return ChainBroken(number, Fault.INSERTED, "it is no entry, and the log goes on without it")
    return ChainBroken(number, Fault.MALFORMED, f"it is no entry; entry {head.seq + 1} was expected")


def _altered(number: int, head: Head, rest: Iterator[tuple[int, bytes]], why: str) -> ChainBroken:
    following = next(_ahead(rest), None)
    if following is not None and following["previous"] == head.hash:
        return ChainBroken(number, Fault.INSERTED, f"{why}, and the log goes on without it")
    return ChainBroken(number, Fault.ALTERED, f"{why}; entry {head.seq + 1} was expected")


def _out_of_place(number: int, entry: Entry, head: Head, rest: Iterator[tuple[int, bytes]]) -> ChainBroken:
    expected = head.seq + 1
    if entry.seq == expected:
        return ChainBroken(number, Fault.ALTERED, f"entry {entry.seq} was not written behind the entry before it")
    if entry.seq < expected:
        return ChainBroken(number, Fault.INSERTED, f"entry {entry.seq} is there a second time")
    if any(members["seq"] == expected for members in _ahead(rest)):
        return ChainBroken(number, Fault.REORDERED, f"entry {entry.seq} stands before entry {expected}")
    missing = f"entry {expected} is" if entry.seq == expected + 1 else f"entries {expected} to {entry.seq - 1} are"
    return ChainBroken(number, Fault.REMOVED, f"{missing} missing")
