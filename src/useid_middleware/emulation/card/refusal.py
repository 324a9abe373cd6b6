"""How a command of the card ends that cannot be done: with a status word, and nothing else changed."""


class Refusal(Exception):
    """The status word of the answer. It never leaves the card, so it is no ``UseIDError``."""

    def __init__(self, status_word: int) -> None:
        super().__init__(f"{status_word:04X}")
        self.status_word = int(status_word)
