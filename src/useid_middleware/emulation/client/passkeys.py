"""The authenticator of the emulated device: makes passkeys, keeps them, and signs with them for browsers nearby.

The person has been asked before: whoever calls this vouches for it, and each signature says that the user was verified.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, Protocol, TypeVar

from ...webauthn.core.options import Attachment
from ..card.session import Random
from ..phone.authenticator import SECRET_SIZE, CredentialSource, Gesture, Sources
from ..phone.authenticator_client import Page, create_credential, find_credential, get_credential
from .actions import CreateCredential

T = TypeVar("T")

#: So many passkeys are kept in memory, the newest ones: each bound login makes another.
MAX_KEPT: Final = 64


class Kept(Protocol):
    """Where passkeys are: a :class:`~..phone.keys.KeyFile`, or memory."""

    def credentials(self) -> Sources:
        """All of them."""
        ...

    def change_credentials(self, change: Callable[[Sources], tuple[Sources, T]]) -> T:
        """Run a ceremony, one at a time; what it makes of them is kept before its result is returned."""
        ...


class MemoryCredentials:
    """Passkeys that are gone with the process."""

    def __init__(self) -> None:
        self._sources: Sources = ()
        self._lock = Lock()

    def credentials(self) -> Sources:
        """See :class:`Kept`."""
        return self._sources

    def change_credentials(self, change: Callable[[Sources], tuple[Sources, T]]) -> T:
        """See :class:`Kept`. What a ceremony keeps comes last, so that the oldest go."""
        with self._lock:
            sources, result = change(self._sources)
            self._sources = sources[-MAX_KEPT:]
            return result


class Passkeys:
    """The authenticator. ``random`` gives as many bytes as it is asked for, ``clock`` is in Unix seconds."""

    def __init__(self, kept: Kept, *, random: Random, clock: Callable[[], float]) -> None:
        self._kept = kept
        self._random = random
        self._clock = clock

    def create(self, request: CreateCredential) -> dict[str, Any]:
        """A ``RegistrationResponseJSON`` of a new passkey; ``AuthenticatorError`` if there can be none."""
        return self._kept.change_credentials(
            lambda sources: create_credential(
                request.options,
                page=Page(request.origin),
                sources=sources,
                gesture=Gesture.VERIFICATION,
                secret=self._random(SECRET_SIZE),
                now=self._clock(),
            )
        )

    def find(self, options: Mapping[str, Any], *, page: Page) -> CredentialSource:
        """The passkey that this page would get a signature of; ``AuthenticatorError`` if there is none."""
        return find_credential(options, page=page, sources=self._kept.credentials())

    def sign(self, options: Mapping[str, Any], *, page: Page) -> dict[str, Any]:
        """An ``AuthenticationResponseJSON`` for a page in a browser on another device.

        Raises what :meth:`find` does. The signature is counted before it is returned.
        """
        return self._kept.change_credentials(
            lambda sources: get_credential(
                options,
                page=page,
                sources=sources,
                gesture=Gesture.VERIFICATION,
                attachment=Attachment.CROSS_PLATFORM,
            )
        )
