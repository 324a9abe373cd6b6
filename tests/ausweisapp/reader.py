"""The reader, in which one card takes the place of another."""

from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.transmission import Transmission


class Slot:
    """Where a card is put in: for vpcd, always the same one.

    A card that was pulled while the driver resets it would leave that unable to see the next for some seconds.
    """

    def __init__(self, card: Card) -> None:
        self.card = card

    @property
    def delay(self) -> float:
        """See :class:`~useid_middleware.emulation.card.vpcd.InsertedCard`."""
        return self.card.delay

    @property
    def last(self) -> Transmission | None:
        """See :class:`~useid_middleware.emulation.card.vpcd.InsertedCard`."""
        return self.card.last

    def transmit(self, apdu: bytes) -> bytes:
        """See :class:`~useid_middleware.emulation.card.vpcd.InsertedCard`."""
        return self.card.transmit(apdu)

    def reset(self) -> None:
        """See :class:`~useid_middleware.emulation.card.vpcd.InsertedCard`."""
        self.card.reset()
