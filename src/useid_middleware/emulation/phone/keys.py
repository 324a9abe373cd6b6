"""The key file of the command-line phone: enrolled keys and passkeys in one JSON file for its owner alone (POSIX)."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkstemp
from typing import Final, TypeAlias, TypeVar

from ..._codec import DecodeError, JsonType, b64url, encode_json, un_b64url, un_b64url_any
from ...errors import ConfigurationError
from .authenticator import ALGORITHMS, MAX_SIGN_COUNT, SECRET_SIZE, CredentialSource, Sources
from .core import EnrolledKey

T = TypeVar("T")

FILE_NAME: Final = "keys.json"
#: Far above what a phone holds; a larger file is not ours.
MAX_FILE: Final = 1 << 20

Keys: TypeAlias = tuple[EnrolledKey, ...]


@dataclass(frozen=True, slots=True)
class _Contents:
    keys: Keys = ()
    credentials: Sources = ()


class KeyFile:
    """Private keys below ``home``, a directory that is created with mode 0700 when the first key is added.

    Every fault of the file or the directory is a :class:`~useid_middleware.errors.ConfigurationError` that names the
    path and the remedy, and never quotes the content.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / FILE_NAME

    def read(self) -> Keys:
        """All enrolled keys in the order of enrolment; none when there is no file yet."""
        return self._read().keys

    def add(self, key: EnrolledKey) -> None:
        """Keep ``key``; it takes the place of an earlier key of the same account and server."""
        account = (key.server, key.username)

        def change(held: _Contents) -> tuple[_Contents, None]:
            others = (old for old in held.keys if (old.server, old.username) != account)
            return replace(held, keys=(*others, key)), None

        self._change(change)

    def remove(self, server: str, *, username: str | None = None) -> Keys:
        """Forget the keys of ``server`` (of one account, if given) and return them; ``()`` when there are none."""

        def is_meant(key: EnrolledKey) -> bool:
            return key.server == server and username in (None, key.username)

        def change(held: _Contents) -> tuple[_Contents, Keys]:
            others = tuple(key for key in held.keys if not is_meant(key))
            return replace(held, keys=others), tuple(filter(is_meant, held.keys))

        return self._change(change) if any(map(is_meant, self.read())) else ()

    def credentials(self) -> Sources:
        """All passkeys, the one that was made or used last at the end; none when there is no file yet."""
        return self._read().credentials

    def change_credentials(self, change: Callable[[Sources], tuple[Sources, T]]) -> T:
        """Run a ceremony: ``change`` makes of the passkeys those to keep, and what to return once they are kept.

        No other phone of this home runs one meanwhile, so no two signatures have the same counter. Nothing is written
        when ``change`` raises.
        """

        def change_held(held: _Contents) -> tuple[_Contents, T]:
            credentials, result = change(held.credentials)
            return replace(held, credentials=credentials), result

        return self._change(change_held)

    def remove_credential(self, credential_id: bytes) -> bool:
        """Forget a passkey; whether there was one."""
        if all(source.id != credential_id for source in self.credentials()):
            return False

        def change(sources: Sources) -> tuple[Sources, bool]:
            others = tuple(source for source in sources if source.id != credential_id)
            return others, len(others) < len(sources)

        return self.change_credentials(change)

    def _read(self) -> _Contents:
        try:
            # A symbolic link in the file's place must not make another file a key file, nor a pipe make us wait.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(self.path, "rb", opener=lambda path, _: os.open(path, flags)) as file:
                self._check_owner(os.fstat(file.fileno()))
                content = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return _Contents()
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be opened ({error.strerror})") from None
        if len(content) > MAX_FILE:
            raise ConfigurationError(f"{self.path}: not a key file of this program; move it away")
        try:
            wire = _FILE.decode(content)
            if wire.version != 1:
                raise DecodeError("version")
            return _Contents(
                tuple(_from_wire(entry) for entry in wire.enrolments),
                tuple(_credential_from_wire(entry) for entry in wire.credentials),
            )
        except DecodeError:
            raise ConfigurationError(
                f"{self.path}: not a key file of this program; move it away and enrol again"
            ) from None

    def _change(self, change: Callable[[_Contents], tuple[_Contents, T]]) -> T:
        try:
            with self._locked():
                held, result = change(self._read())
                self._write(held)
                return result
        except OSError as error:
            raise ConfigurationError(f"{self.path}: cannot be written ({error.strerror})") from None

    def _write(self, held: _Contents) -> None:
        enrolments = [_to_wire(key) for key in held.keys]
        content = encode_json(_File(1, enrolments, [_credential_to_wire(source) for source in held.credentials]))
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
class _Credential:
    rpId: str
    userHandle: str
    userName: str
    userDisplayName: str
    algorithm: int
    signCount: int
    isDiscoverable: bool
    createdAt: int
    secret: str


@dataclass(frozen=True, slots=True)
class _File:
    version: int
    enrolments: list[_Entry]
    #: Files of the time before passkeys have none.
    credentials: list[_Credential] = field(default_factory=list)


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


def _credential_to_wire(source: CredentialSource) -> _Credential:
    return _Credential(
        rpId=source.rp_id,
        userHandle=b64url(source.user_handle),
        userName=source.user_name,
        userDisplayName=source.user_display_name,
        algorithm=source.algorithm,
        signCount=source.sign_count,
        isDiscoverable=source.is_discoverable,
        createdAt=source.created_at,
        secret=b64url(source.secret),
    )


def _credential_from_wire(entry: _Credential) -> CredentialSource:
    if entry.algorithm not in ALGORITHMS or not 0 <= entry.signCount <= MAX_SIGN_COUNT:
        raise DecodeError("algorithm, signCount")
    return CredentialSource(
        rp_id=entry.rpId,
        user_handle=un_b64url_any(entry.userHandle),
        user_name=entry.userName,
        user_display_name=entry.userDisplayName,
        algorithm=entry.algorithm,
        sign_count=entry.signCount,
        is_discoverable=entry.isDiscoverable,
        created_at=entry.createdAt,
        secret=un_b64url(entry.secret, SECRET_SIZE),
    )
