"""Who logged in, by which means, at what assurance: the one word all features share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """Assurance of a login; higher contains lower.

    L0 plain QR or a password of the host app, L1 rotating QR and confirmation code, L2 WebAuthn assertion on the
    desktop, L3 eID with a sealed result.
    """

    L0 = 0
    L1 = 1
    L2 = 2
    L3 = 3


def acr_of(level: Level, *, emulated: bool) -> str:
    """The assurance as an authentication context class: ``L0`` … ``L3``, or ``L3-emulated`` and the like."""
    return f"{level.name}-emulated" if emulated else level.name


@dataclass(frozen=True, slots=True)
class Identity:
    """A proven identity, as a feature hands it over at the end of its flow.

    ``provider`` and ``subject`` together name the person (``("host", "alice")``, an OIDC issuer and ``sub``, …). A
    feature that already knows the account sets ``account_id``. ``level`` and ``amr`` (RFC 8176 values) say how the
    login was made, ``auth_time`` when (Unix seconds; ``None``: now). ``device_id`` names the enrolled phone, where
    there was one.
    """

    provider: str
    subject: str
    username: str = ""
    account_id: str | None = None
    level: Level = Level.L0
    amr: tuple[str, ...] = ()
    auth_time: float | None = None
    device_id: str | None = None
    claims: Mapping[str, object] = field(default_factory=dict, repr=False)
    sid: str | None = None
    roles: tuple[str, ...] | None = None
    tokens: object = field(default=None, repr=False)
    secret: bytes = field(default=b"", repr=False)
    #: Seconds that the session keeps ``secret``; ``None``: as long as it lives.
    secret_lifetime: float | None = None
    #: Whoever proved this is an emulation, and so nobody.
    emulated: bool = False

    @property
    def acr(self) -> str:
        """The assurance as an authentication context class: see :func:`acr_of`."""
        return acr_of(self.level, emulated=self.emulated)


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account. ``created_at`` is Unix seconds; ``roles`` are what the host app makes of them."""

    id: str
    username: str
    created_at: float
    email: str = ""
    roles: tuple[str, ...] = ()
