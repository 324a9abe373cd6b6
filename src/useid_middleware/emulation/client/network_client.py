"""The eID client of the emulated phone: one flow for each dialogue, with real servers."""

from collections.abc import Callable, Collection
from datetime import date
from importlib.metadata import version

from ...eac.certificate_chain import Verified
from ..card.session import Random
from .dialogue import Dialogue
from .driver import Authenticator, Network, run_flow
from .flow import Outcome, open_link
from .session import Circumstances


class NetworkClient:
    """Does what a link asks for. ``trusted`` are the CVCA certificates that terminals may come from."""

    def __init__(
        self,
        trusted: Collection[Verified],
        *,
        authenticator: Authenticator,
        today: Callable[[], date],
        random: Random,
    ) -> None:
        self._trusted = trusted
        self._authenticator = authenticator
        self._today = today
        self._random = random

    def __call__(self, link: str, dialogue: Dialogue) -> Outcome:
        """Run the flow; the dialogue is its person and its card."""
        circumstances = Circumstances(
            trusted=self._trusted,
            today=self._today(),
            random=self._random,
            user_agent=f"useid-eid-phone/{version('useid-middleware')}",
            allow_loopback_http=True,
        )
        with Network() as network:
            return run_flow(
                open_link(link, circumstances),
                network=network,
                card=dialogue,
                person=dialogue,
                authenticator=self._authenticator,
            )
