"""Numbers of several processes on one machine: each keeps its own in a file of one folder, mapped into its memory.

Counting costs what it costs without; whoever is asked reads all files and adds up. A process holds the lock of its file
while it lives, ``kill -9`` included, so the others see who is gone: what the dead have counted is taken over and their
files go; what they had at the moment (open streams) is no more.
"""

import asyncio
import fcntl
import json
import mmap
import os
import struct
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

from .series import Numbers, SeriesName, Snapshot, in_memory

#: A file's size: room for far more series than there are. It takes up what is written.
SIZE: Final = 512 * 1024
_MAGIC: Final = b"useid-m1"
#: Lengths of a series' name in bytes and of its numbers; the name follows, as JSON, then the numbers.
_HEAD: Final = struct.Struct("=II")
_SUFFIX: Final = ".numbers"
#: Others who are asked at the same time are done in a moment; one that was stopped in the middle is not waited for.
_TRIES: Final = 50
_PAUSE: Final = 0.02


class Others(NamedTuple):
    """What other processes have. Of the dead, it is taken over, or only looked at: then somebody else is about to."""

    living: list[Snapshot]
    dead: list[Snapshot]
    is_taken_over: bool


class SharedNumbers:
    """The file of this process among those of the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{os.getpid()}-{token_hex(4)}{_SUFFIX}"
        # Locked before it has its name: nobody may take it for a dead one's.
        unnamed = self._path.with_suffix(".new")
        self._descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.ftruncate(self._descriptor, SIZE)
        self._memory = memoryview(mmap.mmap(self._descriptor, SIZE))
        self._memory[: len(_MAGIC)] = _MAGIC
        self._used = len(_MAGIC)
        os.rename(unnamed, self._path)

    def allocate(self, name: SeriesName, size: int) -> Numbers:
        """Room for the numbers of a series; in memory alone where the file is full."""
        key = json.dumps(name).encode()
        start = self._used + _HEAD.size + _padded(len(key))
        end = start + 8 * size
        if end + _HEAD.size > SIZE:
            return in_memory(name, size)
        self._memory[self._used + _HEAD.size : self._used + _HEAD.size + len(key)] = key
        # The head comes last: until then, readers see the end here.
        self._memory[self._used : self._used + _HEAD.size] = _HEAD.pack(len(key), size)
        self._used = end
        return self._memory[start:end].cast("d")

    def close(self) -> None:
        """Leave the file to the others. Whoever holds numbers in it must have let go of them."""
        os.close(self._descriptor)
        self._memory.release()

    @asynccontextmanager
    async def others(self) -> AsyncIterator[Others]:
        """What the others have. With the end of the block, the files of the dead that are taken over are gone."""
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            others = Others([], [], is_taken_over=await _locked(lock))
            theirs: list[Path] = []
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                if path == self._path:
                    continue
                with suppress(FileNotFoundError):
                    content, lives = _read(path)
                    (others.living if lives else others.dead).append(dict(_parse(content)))
                    theirs += [] if lives else [path]
            yield others
            for path in theirs if others.is_taken_over else []:
                path.unlink(missing_ok=True)
        finally:
            os.close(lock)


async def _locked(descriptor: int) -> bool:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        await asyncio.sleep(_PAUSE)
    return False


def _read(path: Path) -> tuple[bytes, bool]:
    """A file, and whether its process lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lives = False
        except BlockingIOError:
            lives = True
        return file.read(), lives


def _parse(content: bytes) -> Iterator[tuple[SeriesName, Sequence[float]]]:
    """The series in a file; nothing of one that another version has written."""
    if content[: len(_MAGIC)] != _MAGIC:
        return
    position = len(_MAGIC)
    while position + _HEAD.size <= len(content):
        length, size = _HEAD.unpack_from(content, position)
        start = position + _HEAD.size
        position = start + _padded(length) + 8 * size
        if not length or position > len(content):
            return
        numbers = array("d")
        numbers.frombytes(content[position - 8 * size : position])
        yield tuple(json.loads(content[start : start + length])), numbers


def _padded(length: int) -> int:
    return length + -length % 8
