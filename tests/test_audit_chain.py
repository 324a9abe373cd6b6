"""The chain of the audit log: whatever is done to a log afterwards, the verifier names the line and the deed."""

import json
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.audit.chain import (
    CONTINUED,
    GENESIS,
    REPAIRED,
    STARTED,
    ChainBroken,
    Fault,
    Head,
    Verified,
    append,
    torn_lines,
    verify,
)

KEY = b"0123456789abcdef0123456789abcdef"


def log(count: int = 6, *, key: bytes | None = None, head: Head = GENESIS) -> list[bytes]:
    """So many entries; the first opens the log."""
    lines = []
    for number in range(count):
        event = (CONTINUED if head.seq else STARTED) if number == 0 else "LoginCompleted"
        line, head = append(head, event=event, data={"account_id": f"a{number}"}, at=1_800_000_000.5 + number, key=key)
        lines.append(line)
    return lines


def head_of(lines: list[bytes]) -> Head:
    members = json.loads(lines[-1])
    return Head(members["seq"], members["hash"])


def broken(lines: list[bytes], *, key: bytes | None = None, expected_head: Head | None = None) -> tuple[int, Fault]:
    """Where a log is broken, and how."""
    with pytest.raises(ChainBroken) as caught:
        verify(lines, key=key, expected_head=expected_head)
    return caught.value.line, caught.value.fault


def rehashed(line: bytes, **changes: object) -> bytes:
    """An entry changed by somebody who knows how hashes are made, of a log without a key."""
    members = json.loads(line) | changes
    del members["hash"]
    content = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    members["hash"] = sha256(content).hexdigest()
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def with_member(line: bytes, name: str, value: str) -> bytes:
    """An entry with another value, spelled as ours are."""
    return json.dumps(json.loads(line) | {name: value}, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_an_entry_is_one_line_of_canonical_json_with_the_hash_of_the_rest() -> None:
    line, head = append(
        GENESIS, event="Tried", data={"b": 1, "a": ["ü", "x"], "c": None}, at=1_800_000_000.1236, key=None
    )
    members = b'{"at":"2027-01-15T08:00:00.124Z","data":{"a":["\\u00fc","x"],"b":1,"c":null},"event":"Tried",'
    rest = b'"previous":"' + b"0" * 64 + b'","seq":1}'
    digest = sha256(members + rest).hexdigest()
    assert line == members + b'"hash":"' + digest.encode() + b'",' + rest + b"\n"
    assert head == Head(1, digest)


@pytest.mark.parametrize("key", [None, KEY])
def test_a_log_as_it_was_written_is_verified(key: bytes | None) -> None:
    lines = log(key=key)
    assert verify(lines, key=key) == Verified(1, 6, 0, head_of(lines))
    assert verify(lines, key=key, expected_head=head_of(lines[:4])) == Verified(1, 6, 0, head_of(lines))


def test_a_log_without_any_entry_was_emptied_since_it_is_begun_with_one() -> None:
    assert broken([]) == (1, Fault.TRUNCATED)
    assert broken([], expected_head=head_of(log())) == (1, Fault.TRUNCATED)


def test_a_log_that_goes_on_in_another_file_is_one_log_and_either_part_is_verified() -> None:
    first = log(3)
    second = log(3, head=head_of(first))
    assert verify(first + second, key=None) == Verified(1, 6, 0, head_of(second))
    assert verify(second, key=None) == Verified(4, 3, 0, head_of(second))
    assert broken(second, expected_head=head_of(first[:2])) == (1, Fault.REMOVED)


Deed = Callable[[list[bytes]], list[bytes]]

#: What somebody may do to a log of six entries, and what is found: without a key, they know how to make hashes.
DEEDS: dict[str, tuple[Deed, int, Fault]] = {
    "a value is changed": (lambda log: [*log[:2], log[2].replace(b"a2", b"a7"), *log[3:]], 3, Fault.ALTERED),
    "a time is changed": (lambda log: [*log[:2], log[2].replace(b":02.5", b":01.5"), *log[3:]], 3, Fault.ALTERED),
    "a hash is changed": (
        lambda log: [*log[:2], log[2].replace(b'"hash":"', b'"hash":"x'), *log[3:]],
        3,
        Fault.ALTERED,
    ),
    # Behind this one a crash would not be told from a deed, were a hash whatever a string can be.
    "a hash is changed to what no text has": (
        lambda log: [*log[:2], with_member(log[2], "hash", "\ud800"), *log[3:]],
        3,
        Fault.ALTERED,
    ),
    "a hash is emptied": (lambda log: [*log[:2], with_member(log[2], "hash", ""), *log[3:]], 3, Fault.ALTERED),
    "a hash is in capitals": (
        lambda log: [*log[:2], with_member(log[2], "hash", json.loads(log[2])["hash"].upper()), *log[3:]],
        3,
        Fault.ALTERED,
    ),
    "the hash of the one before is changed to what no text has": (
        lambda log: [*log[:2], with_member(log[2], "previous", "\ud800"), *log[3:]],
        3,
        Fault.ALTERED,
    ),
    "the hash of the one before is made up and hashed": (
        lambda log: [*log[:2], rehashed(log[2], previous="\udfff"), *log[3:]],
        3,
        Fault.ALTERED,
    ),
    "a value is nested deeper than JSON is read": (
        lambda log: [*log[:2], log[2].replace(b'"a2"', b"[" * 100_000 + b"]" * 100_000), *log[3:]],
        3,
        Fault.MALFORMED,
    ),
    "a value is no number": (lambda log: [*log[:2], log[2].replace(b'"a2"', b"NaN"), *log[3:]], 3, Fault.MALFORMED),
    "a value is changed and hashed": (
        lambda log: [*log[:2], rehashed(log[2], data={"account_id": "a7"}), *log[3:]],
        4,
        Fault.ALTERED,
    ),
    "an entry is removed": (lambda log: [*log[:2], *log[3:]], 3, Fault.REMOVED),
    "some are removed": (lambda log: [*log[:2], *log[4:]], 3, Fault.REMOVED),
    "the first is removed": (lambda log: log[1:], 1, Fault.REMOVED),
    "an entry is removed and the next put in its place": (
        lambda log: [*log[:2], rehashed(log[3], seq=3, previous=json.loads(log[1])["hash"]), *log[4:]],
        4,
        Fault.REMOVED,
    ),
    "two change places": (lambda log: [*log[:2], log[3], log[2], *log[4:]], 3, Fault.REORDERED),
    "the last two change places": (lambda log: [*log[:4], log[5], log[4]], 5, Fault.REORDERED),
    "one comes early": (lambda log: [*log[:1], log[4], *log[1:4], log[5]], 2, Fault.REORDERED),
    "one is there twice": (lambda log: [*log[:3], log[2], *log[3:]], 4, Fault.INSERTED),
    "a forged one is put between": (
        lambda log: [*log[:2], rehashed(log[2], data={"account_id": "a7"}), *log[2:]],
        4,
        Fault.INSERTED,
    ),
    "one with a false hash is put between": (
        lambda log: [*log[:2], log[2].replace(b"a2", b"a7"), *log[2:]],
        3,
        Fault.INSERTED,
    ),
    "a line of something else is put between": (lambda log: [*log[:2], b"hello\n", *log[2:]], 3, Fault.INSERTED),
    "an empty line is put between": (lambda log: [*log[:2], b"\n", *log[2:]], 3, Fault.INSERTED),
    "a line is cut short": (lambda log: [*log[:2], log[2][:40] + b"\n", *log[3:]], 3, Fault.MALFORMED),
    "a line is spelled otherwise": (
        lambda log: [*log[:2], log[2].replace(b",", b", ", 1), *log[3:]],
        3,
        Fault.MALFORMED,
    ),
    "a line says something twice": (
        lambda log: [*log[:2], log[2].replace(b'"seq":3', b'"seq":3,"seq":3'), *log[3:]],
        3,
        Fault.MALFORMED,
    ),
    "the end is torn": (lambda log: [*log[:5], log[5][:40]], 6, Fault.TORN),
    "the start is another log's": (
        lambda log: [append(GENESIS, event=STARTED, data={}, at=0.0, key=None)[0], *log[1:]],
        2,
        Fault.ALTERED,
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_done_to_a_log_is_found_where_it_was_done(deed: str) -> None:
    do, line, fault = DEEDS[deed]
    assert broken(do(log())) == (line, fault)


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "the end is torn"])
def test_with_a_key_it_is_found_as_well_and_never_later(deed: str) -> None:
    do, line, _ = DEEDS[deed]
    assert broken(do(log(key=KEY)), key=KEY)[0] <= line


def rechained(lines: list[bytes], start: int) -> list[bytes]:
    """All entries from ``start`` on hashed anew, each behind the one before: the work of somebody with time."""
    done = lines[:start]
    for line in lines[start:]:
        done.append(rehashed(line, previous=json.loads(done[-1])["hash"]))
    return done


def test_a_log_without_a_key_can_be_written_anew_and_only_a_kept_head_tells() -> None:
    lines = log()
    forged = [*lines[:2], rehashed(lines[2], data={"account_id": "a7"}), *lines[3:]]
    forged = rechained(forged, 3)
    assert verify(forged, key=None).entries == 6
    assert broken(forged, expected_head=head_of(lines)) == (6, Fault.ALTERED)


def test_a_log_with_a_key_cannot_be_written_anew_by_whoever_lacks_it() -> None:
    lines = log(key=KEY)
    forged = rechained([*lines[:2], rehashed(lines[2], data={"account_id": "a7"}), *lines[3:]], 3)
    assert broken(forged, key=KEY) == (3, Fault.ALTERED)
    assert broken(log(), key=KEY) == (1, Fault.ALTERED)
    assert broken(lines) == (1, Fault.ALTERED)


def test_entries_missing_at_the_end_are_noticed_with_a_head_that_was_kept() -> None:
    lines = log()
    assert verify(lines[:4], key=None).entries == 4
    assert broken(lines[:4], expected_head=head_of(lines)) == (5, Fault.TRUNCATED)


def repaired(torn: list[bytes], *, told: list[bytes] | None = None) -> list[bytes]:
    """Three entries, lines that a crash tore, the entry that says so, and one more."""
    lines = log(3)
    note, head = append(
        head_of(lines), event=REPAIRED, data=torn_lines(torn if told is None else told), at=0.0, key=None
    )
    more, _ = append(head, event="LoginCompleted", data={}, at=0.0, key=None)
    return [*lines, *(line + b"\n" for line in torn), note, more]


@pytest.mark.parametrize("torn", [[b'{"at":"2027'], [b"\x00" * 80], [b'{"at', b'{"at":"2027-01']])
def test_a_torn_line_with_the_entry_that_tells_of_it_is_part_of_the_log(torn: list[bytes]) -> None:
    lines = repaired(torn)
    assert verify(lines, key=None) == Verified(1, 5, len(torn), head_of(lines))


def test_a_torn_line_that_is_not_the_one_told_of_or_not_there_breaks_the_log() -> None:
    assert broken(repaired([b'{"at'], told=[b'{"a'])) == (4, Fault.INSERTED)
    assert broken(repaired([b'{"at', b"more"], told=[b'{"at'])) == (4, Fault.INSERTED)
    assert broken(repaired([], told=[b'{"at'])) == (4, Fault.REMOVED)


@given(st.data())
def test_no_change_of_one_byte_goes_unnoticed(data: st.DataObject) -> None:
    whole = b"".join(log(key=KEY))
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    changed = whole[:at] + bytes([other]) + whole[at + 1 :]
    assert broken(changed.splitlines(keepends=True), key=KEY)


@pytest.mark.parametrize("text", ["", "7", "7:", "7:" + "g" * 64, "-7:" + "0" * 64, "7:" + "0" * 63, "²:" + "0" * 64])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a head"):
        Head.parse(text)


def test_a_head_is_read_as_it_is_written() -> None:
    head = head_of(log())
    assert Head.parse(f" {head}\n") == head
