"""The key file of the command-line phone: one JSON file that only its owner can read (POSIX)."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Final, TypeAlias

from ..._codec import DecodeError, JsonType, b64url, encode_json, un_b64url
from ...errors import ConfigurationError
from .core import EnrolledKey

FILE_NAME: Final = "keys.json"
#: Far above what a phone holds; a larger file is not ours.
MAX_FILE: Final = 1 << 20

Keys: TypeAlias = tuple[EnrolledKey, ...]


class KeyFile:
    """Enrolled keys below ``home``, a directory that is created with mode 0700 when the first key is added.

    Every fault of the file or the directory is a :class:`~useid_middleware.errors.ConfigurationError` that names the
    path and the remedy, and never quotes the content.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / FILE_NAME

    def read(self) -> Keys:
        """All keys in the order of enrolment; none when there is no file yet."""
        try:
            # A symbolic link in the file's place must not make another file a key file, nor a pipe make us wait.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(self.path, "rb", opener=lambda path, _: os.open(path, flags)) as file:
                self._check_owner(os.fstat(file.fileno()))
                content = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be opened ({error.strerror})") from None
        if len(content) > MAX_FILE:
            raise ConfigurationError(f"{self.path}: not a key file of this program; move it away")
        try:
            wire = _FILE.decode(content)
            if wire.version != 1:
                raise DecodeError("version")
            return tuple(_from_wire(entry) for entry in wire.enrolments)
        except DecodeError:
            raise ConfigurationError(
                f"{self.path}: not a key file of this program; move it away and enrol again"
            ) from None

    def add(self, key: EnrolledKey) -> None:
        """Keep ``key``; it takes the place of an earlier key of the same account and server."""
        account = (key.server, key.username)
        self._change(lambda keys: (*(old for old in keys if (old.server, old.username) != account), key))

    def remove(self, server: str, *, username: str | None = None) -> Keys:
        """Forget the keys of ``server`` (of one account, if given) and return them; ``()`` when there are none."""

        def is_meant(key: EnrolledKey) -> bool:
            return key.server == server and username in (None, key.username)

        if not any(map(is_meant, self.read())):
            return ()
        before = self._change(lambda keys: tuple(key for key in keys if not is_meant(key)))
        return tuple(filter(is_meant, before))

    def _change(self, change: Callable[[Keys], Keys]) -> Keys:
        try:
            with self._locked():
                before = self.read()
                self._write(change(before))
                return before
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be written ({error.strerror})") from None

    def _write(self, keys: Keys) -> None:
        content = encode_json({"version": 1, "enrolments": [_to_wire(key) for key in keys]})
        # mkstemp creates with mode 0600 from the first instant; a crash before the rename leaves the old file whole.
        descriptor, name = mkstemp(dir=self.home, prefix=f".{FILE_NAME}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the directory: two phones of one home change the file one after the other."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o022:
                raise ConfigurationError(f"{self.home}: others may write here; run chmod 700 on it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _check_owner(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"{self.path}: expected a plain file")
        if status.st_uid != os.geteuid():
            raise ConfigurationError(f"{self.path}: belongs to another user; use a home of your own")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigurationError(
                f"{self.path}: others may read these private keys; run chmod 600 on it, or better, enrol anew"
            )


@dataclass(frozen=True, slots=True)
class _Entry:
    server: str
    username: str
    appName: str
    label: str
    keyId: str
    seed: str


@dataclass(frozen=True, slots=True)
class _File:
    version: int
    enrolments: list[_Entry]


_FILE: Final = JsonType(_File)


def _to_wire(key: EnrolledKey) -> _Entry:
    return _Entry(key.server, key.username, key.app_name, key.label, b64url(key.key_id), b64url(key.seed))


def _from_wire(entry: _Entry) -> EnrolledKey:
    return EnrolledKey(
        server=entry.server,
        username=entry.username,
        app_name=entry.appName,
        label=entry.label,
        key_id=un_b64url(entry.keyId, 16),
        seed=un_b64url(entry.seed, 32),
    )
