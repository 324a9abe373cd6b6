"""The audit log's file: whoever writes holds its lock, reads how it ends, and adds lines behind that.

Processes on one machine share a file (``flock`` does not reach over most network shares). An entry that is written is
never changed, and a line that a crash tore gets its line feed and an entry that says so. A file that is full is renamed
after its last entry, ``audit.log.4711``, and the chain goes on in a new one.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from .chain import (
    CONTINUED,
    GENESIS,
    REPAIRED,
    STARTED,
    ChainBroken,
    Data,
    Fault,
    Head,
    WrongHash,
    append,
    parse_entry,
    torn_lines,
)

#: So much of a file's end is read to find the last entry, which is far shorter.
_TAIL: Final = 64 * 1024
#: Of the entries, told at the beginning of each file.
FORMAT: Final = 1


class NewEntry(NamedTuple):
    """What an entry will say; ``at`` is Unix seconds."""

    at: float
    event: str
    data: Data


class _End(NamedTuple):
    """How the log ends: the file's size, the head, and what is behind it and no entry."""

    size: int
    head: Head
    torn: tuple[bytes, ...] = ()
    #: The last line has no line feed.
    is_open: bool = False
    #: The file has no entry yet.
    is_fresh: bool = False


class AuditFile:
    """One log, as one process writes it. Its methods block; they may be called from any thread."""

    def __init__(self, path: Path, *, key: bytes | None, fsync: bool, max_size: int) -> None:
        self._path = path
        self._key = key
        self._fsync = fsync
        self._max_size = max_size
        self._descriptor = -1
        self._process = os.getpid()
        self._mutex = Lock()  # A file's lock is the process's, all its threads alike.
        #: How long the file was after our own last write, and its head then.
        self._known: tuple[int, Head] = (-1, GENESIS)

    def append(self, entries: Sequence[NewEntry]) -> Head:
        """Write the entries, all or none of them, and return the new head.

        Raises ``OSError`` when that does not work, and :class:`~.chain.ChainBroken` when the log does not end with an
        entry of ours: nothing is put behind what was tampered with.
        """
        with self._mutex:
            self._lock()
            try:
                return self._append(entries)
            finally:
                if self._descriptor >= 0:
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def check(self) -> None:
        """Open the file or make it, and look how it ends: what will not do is to be known before the first login."""
        with self._mutex:
            self._lock()
            try:
                self._end()
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file. The next :meth:`append` opens it again."""
        with self._mutex:
            self._release()

    def _append(self, entries: Sequence[NewEntry]) -> Head:
        end = self._end()
        if end.size >= self._max_size and not end.torn:
            self._rotate(end.head)
            end = self._end()
        size, head, at = end.size, end.head, entries[0].at
        lines = [b"\n"] if end.is_open else []
        opening = [NewEntry(at, REPAIRED, torn_lines(end.torn))] if end.torn else []
        if end.is_fresh:
            data = {"format": FORMAT, "keyed": int(self._key is not None)}
            opening.append(NewEntry(at, CONTINUED if head.seq else STARTED, data))
        for entry in (*opening, *entries):
            line, head = append(head, event=entry.event, data=entry.data, at=entry.at, key=self._key)
            lines.append(line)
        written = b"".join(lines)
        self._known = (-1, GENESIS)
        self._write(written, size)
        self._known = (size + len(written), head)
        return head

    def _write(self, content: bytes, size: int) -> None:
        """All of it, or as far as the disk lets us nothing. What stays half is a torn line to whoever comes next."""
        try:
            if os.write(self._descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._fsync:
                os.fsync(self._descriptor)
        except OSError:
            with suppress(OSError):  # It may allow nothing but appending: that is what log_repaired is for.
                os.ftruncate(self._descriptor, size)
            raise

    def _end(self) -> "_End":
        """How the log ends."""
        size = os.fstat(self._descriptor).st_size
        if size == self._known[0]:
            return _End(size, self._known[1])
        head, torn, is_open = self._read_end(self._descriptor, size)
        if head is not None:
            return _End(size, head, torn, is_open)
        older = rotated(self._path)
        return _End(size, self._end_of(older[-1]) if older else GENESIS, torn, is_open, is_fresh=True)

    def _end_of(self, path: Path) -> Head:
        """The head of a file that was renamed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head, torn, _ = self._read_end(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        if head is None or torn:
            raise ChainBroken(0, Fault.TORN, f"{path.name} does not end with an entry")
        return head

    def _read_end(self, descriptor: int, size: int) -> tuple[Head | None, tuple[bytes, ...], bool]:
        """The last entry's head, the lines behind it, and whether the last of all has no line feed."""
        content = os.pread(descriptor, min(size, _TAIL), max(0, size - _TAIL))
        lines = content.split(b"\n")
        is_open = bool(lines[-1])
        torn: list[bytes] = []
        for line in reversed(lines if is_open else lines[:-1]):
            try:
                return parse_entry(line, key=self._key).head, tuple(torn), is_open
            except WrongHash as error:
                raise ChainBroken(0, Fault.ALTERED, f"the last entry: {error}; nothing is written behind it") from None
            except ValueError:
                torn.insert(0, line)
        if size > _TAIL:
            raise ChainBroken(0, Fault.MALFORMED, f"the last {_TAIL} bytes hold no entry; nothing is written behind it")
        return None, tuple(torn), is_open

    def _rotate(self, head: Head) -> None:
        """Rename the full file and lock another. Who waits for the lock of the old one will look again."""
        kept = self._path.with_name(f"{self._path.name}.{head.seq}")
        if kept.exists():
            raise FileExistsError(errno.EEXIST, "an older file of the log has the name already", str(kept))
        os.rename(self._path, kept)
        full, self._descriptor = self._descriptor, -1
        try:
            self._lock()
        finally:
            os.close(full)

    def _lock(self) -> None:
        """Open the file, if we have not, and lock it: the one that has its name now."""
        if self._process != os.getpid():
            self._release()  # Processes that share what one of them opened share its lock as well.
            self._process = os.getpid()
        while True:
            if self._descriptor < 0:
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
                self._known = (-1, GENESIS)
                if self._fsync:
                    self._sync_folder()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if is_at(self._descriptor, self._path):
                return
            self._release()  # Renamed this very moment, or taken away: a new one is made.

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def rotated(path: Path) -> list[Path]:
    """The older files of a log, oldest first."""
    found = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdecimal()]
    return sorted(found, key=lambda each: int(each.suffix[1:]))


def read_lines(path: Path) -> Iterator[tuple[Path, int, bytes]]:
    """All lines of a log in order, the older files' first: file, number in it, and the line with its line feed.

    What is written meanwhile is left out. Raises ``OSError``.
    """
    while True:
        try:
            newest = path.open("rb")
        except FileNotFoundError:
            older = rotated(path)
            if not older:
                raise
            # It was renamed this moment, or before a crash: what there is of the log has its end.
            yield from _lines_of(older)
            return
        with newest:
            fcntl.flock(newest, fcntl.LOCK_SH)  # Nobody is in the middle of a line, or of a renaming.
            if not is_at(newest.fileno(), path):
                continue
            older, left = rotated(path), os.fstat(newest.fileno()).st_size
            fcntl.flock(newest, fcntl.LOCK_UN)
            yield from _lines_of(older)
            for number, line in enumerate(newest, 1):
                if left <= 0:
                    return
                yield path, number, line[:left]
                left -= len(line)
            return


def _lines_of(files: Sequence[Path]) -> Iterator[tuple[Path, int, bytes]]:
    for file in files:
        with file.open("rb") as opened:
            yield from ((file, number, line) for number, line in enumerate(opened, 1))


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
