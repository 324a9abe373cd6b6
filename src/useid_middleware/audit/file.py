"""The audit log's file: whoever writes holds its lock, reads how it ends, and adds lines behind that.

Processes on one machine share a file (``flock`` does not reach over most network shares). An entry that is written is
never changed, and a line that a crash tore gets its line feed and an entry that says so. A file that is full is renamed
after its last entry, ``audit.log.4711``, and the chain goes on in a new one. A writer remembers the last entry that it
saw: where that is missing later, or another, somebody was at the file.
"""

import errno
import fcntl
import logging
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

logger = logging.getLogger("useid_middleware")

#: So much of a file's end is read to find the last entry, which is far shorter.
_TAIL: Final = 64 * 1024
#: Of the entries, told at the beginning of each file.
FORMAT: Final = 1


class NewEntry(NamedTuple):
    """What an entry will say; ``at`` is Unix seconds."""

    at: float
    event: str
    data: Data


class _Last(NamedTuple):
    """The last entry of a file: where it begins, its line without the line feed, and the head."""

    start: int
    line: bytes
    head: Head

    @property
    def end(self) -> int:
        """Where the next line begins."""
        return self.start + len(self.line) + 1


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
        #: The last entry that we have seen in the open file.
        self._known: _Last | None = None
        #: The head as we have seen it last.
        self.seen = GENESIS

    def append(self, entries: Sequence[NewEntry]) -> Head:
        """Write the entries, all or none of them, and return the new head.

        Raises ``OSError`` when that does not work, and :class:`~.chain.ChainBroken` when the log does not end with an
        entry of ours: nothing is put behind what was tampered with.
        """
        with self._mutex:
            self._lock()
            try:
                return self._append(entries, entries[0].at)
            finally:
                if self._descriptor >= 0:
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def head(self, at: float) -> Head:
        """The head as it is now. A log that has no entry yet is begun, so that an empty one is a sign of its own.

        Raises as :meth:`append`: what will not do is to be known before the first login.
        """
        with self._mutex:
            self._lock()
            try:
                end = self._end()
                return self._append([], at) if end.is_fresh else end.head
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file. The next :meth:`append` opens it again."""
        with self._mutex:
            self._release()
            self.seen = GENESIS

    def _append(self, entries: Sequence[NewEntry], at: float) -> Head:
        end = self._end()
        if end.size >= self._max_size and not end.torn:
            self._rotate(end.head)
            end = self._end()
        head = end.head
        line, lines = b"", [b"\n"] if end.is_open else []
        opening = [NewEntry(at, REPAIRED, torn_lines(end.torn))] if end.torn else []
        if end.is_fresh:
            data = {"format": FORMAT, "keyed": int(self._key is not None)}
            opening.append(NewEntry(at, CONTINUED if head.seq else STARTED, data))
        for entry in (*opening, *entries):
            line, head = append(head, event=entry.event, data=entry.data, at=entry.at, key=self._key)
            lines.append(line)
        written = b"".join(lines)
        self._write(written, end.size)
        self._known = _Last(end.size + len(written) - len(line), line[:-1], head)
        self.seen = head
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

    def _end(self) -> _End:
        """How the log ends."""
        end = self._read()
        if end.head.seq < self.seen.seq:
            # It may have been moved away in good order, so it goes on; but it is not what we have written.
            logger.error("the audit log ends with entry %d, and ended with %s before", end.head.seq, self.seen)
        self.seen = end.head
        return end

    def _read(self) -> _End:
        size, known = os.fstat(self._descriptor).st_size, self._known
        if known is not None:
            if os.pread(self._descriptor, len(known.line), known.start) != known.line:
                fault = Fault.TRUNCATED if size < known.end else Fault.ALTERED
                lost = f"entry {known.head.seq}, which was there, is not any more; nothing is written behind that"
                raise ChainBroken(0, fault, lost)
            if size == known.end:
                return _End(size, known.head)
        last, torn, is_open = self._read_end(self._descriptor, size)
        if last is not None:
            self._known = last
            return _End(size, last.head, torn, is_open)
        older = rotated(self._path)
        return _End(size, self._end_of(older[-1]) if older else GENESIS, torn, is_open, is_fresh=True)

    def _end_of(self, path: Path) -> Head:
        """The head of a file that was renamed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            last, torn, _ = self._read_end(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        if last is None or torn:
            raise ChainBroken(0, Fault.TORN, f"{path.name} does not end with an entry")
        return last.head

    def _read_end(self, descriptor: int, size: int) -> tuple[_Last | None, tuple[bytes, ...], bool]:
        """The last entry, the lines behind it, and whether the last of all has no line feed."""
        lines = os.pread(descriptor, min(size, _TAIL), max(0, size - _TAIL)).split(b"\n")
        is_open = bool(lines[-1])
        torn: list[bytes] = []
        start = size + 1
        for line in reversed(lines):
            start -= len(line) + 1
            if start == size:
                continue  # Nothing, behind the last line feed.
            try:
                return _Last(start, line, parse_entry(line, key=self._key).head), tuple(torn), is_open
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
                self._known = None
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
