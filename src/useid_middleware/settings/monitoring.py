"""The settings of what an operator watches: the audit log, metrics, and the log of the process."""

from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from .values import Group, Path


class AuditSettings(Group):
    """The audit log. It is written where ``file`` is set."""

    file: FilePath | None = None
    #: A file with 32 bytes or more that the entries' hashes are keyed with; whoever lacks it cannot forge a chain.
    key_file: FilePath | None = None
    #: ``always``: an entry is on the disk before the login goes on. ``never``: the operating system sees to it.
    fsync: Literal["always", "never"] = "always"
    #: A file with so many bytes is full: it gets the number of its last entry for a suffix, and another is begun.
    max_size: Annotated[int, Field(ge=65_536)] = 100 * 1024 * 1024
    #: While the log cannot be written, nobody logs in (``refuse``), or logins go on and the log of the app says so.
    on_error: Literal["refuse", "log"] = "refuse"


class MetricsSettings(Group):
    """Metrics for Prometheus. They are served where ``path`` is set."""

    path: Path = ""
    #: Asked for as a bearer token. Without one, only this machine itself is answered, and no proxy on it.
    token: Annotated[SecretStr, Field(min_length=16)] | None = None
    #: In production as well. A proxy on this machine that adds no header makes everybody this machine.
    allow_loopback_without_token: bool = False
    #: A folder of this machine where the workers keep their numbers, so that any of them answers for all.
    directory: FilePath | None = None


class LogSettings(Group):
    """What the logger ``useid_middleware`` writes."""

    #: ``json``: a line of JSON for each record from level INFO on, to standard error. ``app``: as the app has it.
    format: Literal["app", "json"] = "app"
