"""A command and its answer, as they went over the wire and as they were meant."""

from dataclasses import dataclass, field

from ...eac.apdu import Command, Response
from ...eac.keys import SessionKeys


@dataclass(frozen=True, slots=True)
class Transmission:
    """``sent`` and ``answered`` are APDUs as transmitted.

    ``command`` and ``response`` are what they mean without secure messaging, ``command`` being ``None`` for what is no
    command or does not verify. ``keys`` are those of secure messaging after the answer.
    """

    sent: bytes = field(repr=False)
    answered: bytes = field(repr=False)
    command: Command | None = field(repr=False)
    response: Response
    protected: bool = False
    keys: SessionKeys | None = field(default=None, repr=False)
