"""The personalities that come with the package, by name, and those that users write, by file."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from ...errors import ConfigurationError
from .personalisation import Personality, parse_personality

DEFAULT: Final = "erika"
_FOLDER: Final = "personalities"
_SUFFIX: Final = ".toml"
#: Far above what a personality takes; a larger file is none.
_MAX_FILE: Final = 1 << 16


def names() -> tuple[str, ...]:
    """The names of the personalities in the package, the usual one first."""
    found = (each.name.removesuffix(_SUFFIX) for each in _folder().iterdir() if each.name.endswith(_SUFFIX))
    return tuple(sorted(found, key=lambda name: (name != DEFAULT, name)))


def personality_named(name: str) -> Personality:
    """A personality of the package; ``ConfigurationError`` that lists them if there is none of this name."""
    if name not in names():
        raise ConfigurationError(f"personality: expected a file or one of {', '.join(names())}")
    return parse_personality(_folder().joinpath(name + _SUFFIX).read_text(encoding="utf-8"))


def personality_of(name_or_file: str) -> Personality:
    """A personality of the package, or of a TOML file: whatever has a suffix or a slash in it."""
    path = Path(name_or_file)
    if not path.suffix and path.name == name_or_file:
        return personality_named(name_or_file)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not a text in UTF-8") from None
    if len(content) > _MAX_FILE:
        raise ConfigurationError(f"{path}: too large for a personality")
    return parse_personality(text)


def _folder() -> Traversable:
    return files(__package__).joinpath(_FOLDER)
