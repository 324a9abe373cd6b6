"""The confirmation code: six digits that the phone shows and its owner types at the desktop."""

from typing import Final

from ..errors import AuthenticationError, RequestError

MAX_CODE_ATTEMPTS: Final = 5


def confirmation_code(drawn: bytes) -> str:
    """Six digits from eight or more random bytes, none likelier than another by more than one in 10¹³."""
    return f"{int.from_bytes(drawn, 'big') % 1_000_000:06d}"


def check_code_format(code: str | None) -> str:
    """Six decimal digits, with the spaces and dashes that people type between them; empty for none."""
    digits = (code or "").replace(" ", "").replace("-", "")
    if digits and not (len(digits) == 6 and digits.isascii() and digits.isdigit()):
        raise RequestError("malformed_request", "code: expected six digits")
    return digits


def code_required(left: int) -> AuthenticationError:
    """The error for a claim without the code; ``left`` are the attempts."""
    message = "code: expected the six digits that the phone shows"
    return AuthenticationError("code_required", message, details={"attemptsLeft": left})


def code_wrong(left: int) -> AuthenticationError:
    """The error for a wrong code; ``left`` are the attempts that remain."""
    message = "code: not the one that the phone shows"
    return AuthenticationError("code_wrong", message, details={"attemptsLeft": left})
