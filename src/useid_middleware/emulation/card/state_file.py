"""The file in which a card's state outlives the program: for its owner alone, and never half written."""

import os
import stat
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from ...errors import ConfigurationError
from .state import CardState, decode_state, encode_state

#: Far above what a state takes: 22 data groups and two certificates. A larger file is none.
_MAX_FILE: Final = 1 << 18


def read_state(path: Path) -> CardState | None:
    """The state in the file, or ``None`` if there is no file yet; ``ConfigurationError`` for any fault of it."""
    try:
        # A symbolic link in the file's place must not make another file a state, nor a pipe make us wait.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{path}: expected a plain file")
            if stat.S_IMODE(mode) & 0o077:
                raise ConfigurationError(f"{path}: others may read this card's keys; run chmod 600 on it")
            content = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be opened ({error.strerror})") from None
    try:
        return decode_state(content)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}") from None


def write_state(path: Path, state: CardState) -> None:
    """Write the state in the file's place at once; ``ConfigurationError`` if that cannot be done."""
    try:
        # mkstemp creates with mode 0600 from the first instant; a crash before the rename leaves the old file whole.
        descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(encode_state(state))
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})") from None
