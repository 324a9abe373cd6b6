"""A server's answer as the phone takes it: decoded into a type, or refused with the one code for all that is not."""

from typing import TypeVar

from ..._codec import DecodeError, JsonType
from ...errors import UnavailableError

T = TypeVar("T")


def read_answer(kind: JsonType[T], answer: bytes) -> T:
    """The answer as this kind; ``answer_invalid``."""
    try:
        return kind.decode(answer)
    except DecodeError as error:
        raise invalid_answer(str(error)) from None


def invalid_answer(message: str) -> UnavailableError:
    """``answer_invalid``; ``message`` says what was expected."""
    return UnavailableError("answer_invalid", f"the server's answer: {message}")
