"""A dialogue with a card as a generator: it yields commands, is sent responses, and returns what it learned.

The same generator runs against a card in the process (:func:`run`), inside secure messaging
(``secure_messaging.protect_exchange``), and over PAOS.
"""

from collections.abc import Callable, Collection, Generator
from typing import TypeAlias, TypeVar

from .apdu import Command, Response, StatusWord, describe
from .errors import StatusWordError

T = TypeVar("T")

Exchange: TypeAlias = Generator[Command, Response, T]

#: One command APDU in, one response APDU out, both encoded.
Transmit: TypeAlias = Callable[[bytes], bytes]


def run(exchange: Exchange[T], transmit: Transmit) -> T:
    """Drive the exchange to its end and return its result.

    What ``transmit`` raises and what the exchange raises comes through; ``APDUError`` if the card answers no APDU.
    """
    try:
        command = next(exchange)
        while True:
            command = exchange.send(Response.decode(transmit(command.encode())))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        exchange.close()


def expect_ok(step: str, response: Response) -> bytes:
    """The response's data if its status is 9000; ``StatusWordError`` otherwise. ``step`` is for the message."""
    return expect(step, response, accepted=(StatusWord.OK,))


def expect(step: str, response: Response, *, accepted: Collection[int]) -> bytes:
    """The response's data if its status is one of ``accepted``; ``StatusWordError`` otherwise."""
    if response.sw not in accepted:
        wanted = " or ".join(f"{word:04X}" for word in accepted)
        raise StatusWordError(f"{step}: expected {wanted}, found {describe(response.sw)}", status_word=response.sw)
    return response.data
