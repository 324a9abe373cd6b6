"""`useid audit …`: check the audit log, look into it, write down its head."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError
from .chain import ChainBroken, Entry, Head, Verified, read_entry, verify
from .file import read_lines
from .recording import read_key


def add_commands(commands: Any) -> None:
    """Add ``audit`` and what is below it to the parser's commands."""
    parser: argparse.ArgumentParser = commands.add_parser("audit", help="check the audit log, and look into it")
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        each: argparse.ArgumentParser = below.add_parser(name, help=help_text, description=help_text)
        each.add_argument(
            "file", metavar="FILE", type=Path, help="audit.file of the settings; older files are read too"
        )
        return each

    checked = add("verify", "say whether the log is as it was written, or where it is broken first and how")
    _add_key(checked)
    checked.add_argument(
        "--expect-head", metavar="HEAD", type=_head, help="what `useid audit head` printed earlier: SEQ:HASH"
    )
    checked.set_defaults(func=_verify)
    head = add("head", "verify, and print the head alone, to be kept elsewhere")
    _add_key(head)
    head.set_defaults(func=_print_head)
    show = add("show", "print entries, without checking them")
    show.add_argument("--account", metavar="ID", help="only what names this account")
    show.add_argument("--session", metavar="ID", help="only what names this login, or login session")
    show.add_argument("--event", metavar="NAME", action="append", help="only these; may be repeated")
    show.set_defaults(func=_show)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key-file", metavar="FILE", type=Path, help="audit.key_file of the settings")


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _verify(options: argparse.Namespace) -> int:
    found = _verified(options)
    if found is None:
        return 1
    if found.first > 1:
        print(f"begins with entry {found.first}: older files are not here")
    if found.torn:
        print(f"{found.torn} torn lines, noted as log_repaired")
    print(f"{found.entries} entries, as they were written\nhead {found.head}")
    return 0


def _print_head(options: argparse.Namespace) -> int:
    found = _verified(options)
    if found is None:
        return 1
    print(found.head)
    return 0


def _verified(options: argparse.Namespace) -> Verified | None:
    """What is verified; ``None`` when the log is broken, which is said by then."""
    key = read_key(options.key_file) if options.key_file is not None else None
    expected_head: Head | None = getattr(options, "expect_head", None)
    #: The files, and how many lines were before each.
    begun: list[tuple[int, Path]] = []
    opening: Entry | None = None

    def lines() -> Iterator[bytes]:
        nonlocal opening
        for count, (file, number, line) in enumerate(_read(options.file)):
            if number == 1:
                begun.append((count, file))
                opening = opening or read_entry(line)
            yield line

    try:
        return verify(lines(), key=key, expected_head=expected_head)
    except ChainBroken as broken:
        before, file = next((each for each in reversed(begun) if each[0] < broken.line), (0, options.file))
        print(f"{file}: line {broken.line - before}: {broken.fault}: {broken.message}", file=sys.stderr)
        if key is None and opening is not None and opening.data.get("keyed"):
            print("the log is keyed: give --key-file", file=sys.stderr)
        return None


def _show(options: argparse.Namespace) -> int:
    for file, number, line in _read(options.file):
        entry = read_entry(line)
        if entry is None:
            print(f"{file}: line {number} is no entry", file=sys.stderr)
        elif _is_wanted(entry, options):
            told = " ".join(f"{name}={_shown(value)}" for name, value in entry.data.items())
            print(_printable(f"{entry.at} {entry.seq} {entry.event} {told}".rstrip()))
    return 0


def _is_wanted(entry: Entry, options: argparse.Namespace) -> bool:
    return (
        (options.account is None or entry.data.get("account_id") == options.account)
        and (options.session is None or entry.data.get("session_id") == options.session)
        and (options.event is None or entry.event in options.event)
    )


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "-" if value in (None, "") else str(value)


def _printable(text: str) -> str:
    """The text as it does no harm to a terminal: an entry that nobody has checked may hold anything."""
    return "".join(each if each.isascii() and each.isprintable() else ascii(each)[1:-1] for each in text)


def _read(path: Path) -> Iterator[tuple[Path, int, bytes]]:
    try:
        yield from read_lines(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: the log cannot be read: {error.strerror}") from None
