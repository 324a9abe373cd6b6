"""The authorization response (OpenID Connect Core §3.1.2.5, §3.3.2.5; RFC 9207), checked before its code is used."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from hmac import compare_digest
from typing import Final

from ..._lifetime import is_past
from ...errors import AuthenticationError, ProviderError, RequestError, StateError
from .authorization import Attempt, error_code
from .check_session import check_session_state
from .metadata import ProviderMetadata

MAX_PARAMETERS: Final = 50
MAX_VALUE: Final = 16 * 1024
#: A signed response (JARM) holds an ID token and all the rest; so does an ID token by itself.
_MAX_VALUES: Final = {"response": 64 * 1024, "id_token": 64 * 1024}
MAX_DESCRIPTION: Final = 300
#: RFC 6749 A.11: visible characters and the space.
_CODE: Final = re.compile(r"[\x20-\x7e]{1,4096}").fullmatch


class _Checks:
    """Nobody but :func:`check_callback` has one."""


_DONE: Final = _Checks()


@dataclass(frozen=True, slots=True)
class CheckedCallback:
    """An authorization response that answers ``attempt``. Only :func:`check_callback` makes one.

    ``id_token`` is that of a hybrid response, still to be verified; ``session_state`` that of Session Management. Both
    are empty where there is none.
    """

    code: str = field(repr=False)
    session_state: str
    id_token: str = field(repr=False)
    attempt: Attempt
    checks: InitVar[_Checks]

    def __post_init__(self, checks: _Checks) -> None:
        """Refuse who did not check."""
        if checks is not _DONE:
            raise TypeError("only check_callback makes a CheckedCallback")


def read_parameters(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """The parameters of a response by name, or ``callback_invalid``.

    None may be there twice, not even with the same value (RFC 6749 §3.1). Those that nobody knows stay and do nothing.
    """
    if len(pairs) > MAX_PARAMETERS:
        raise _invalid(f"expected at most {MAX_PARAMETERS} parameters")
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise _invalid("expected each parameter once")
    for name, value in pairs:
        if len(name) > MAX_VALUE or len(value) > _MAX_VALUES.get(name, MAX_VALUE):
            raise _invalid(f"expected values of at most {MAX_VALUE} characters")
    return parameters


def check_callback(
    parameters: Mapping[str, str],
    attempt: Attempt,
    *,
    metadata: ProviderMetadata,
    requires_issuer: bool,
    now: float,
    lifetime: float = 300.0,
) -> CheckedCallback:
    """The response, once it is one to this attempt, in time, and from this provider.

    ``requires_issuer`` asks for ``iss`` also where the metadata does not promise it. Raises ``state_mismatch``,
    ``login_expired``, ``callback_issuer_mismatch``; ``authorization_refused`` with the provider's error code and
    description in ``details``; ``callback_invalid``. Tokens that were not asked for are refused, not ignored: somebody
    led them through the browser, and no flow of ours does.
    """
    if not compare_digest(parameters.get("state", "").encode("utf-8", "replace"), attempt.state.encode()):
        raise StateError("state_mismatch", "callback: state: expected that of the attempt", status_hint=400)
    if is_past(created_at=attempt.created_at, deadline=attempt.created_at + lifetime, now=now):
        raise StateError(
            "login_expired", f"callback: expected within {lifetime:.0f} s of the login's begin", status_hint=410
        )
    _check_issuer(parameters, metadata, requires_issuer=requires_issuer)
    if "error" in parameters:
        raise AuthenticationError(
            "authorization_refused",
            "callback: expected a code, found the provider's refusal; its error code is in the details",
            details={
                "error": error_code(parameters["error"]),
                "description": _cleaned(parameters.get("error_description", "")),
            },
        )
    is_hybrid = "id_token" in attempt.response_type.split()
    if "access_token" in parameters or ("id_token" in parameters and not is_hybrid):
        raise _invalid("expected no tokens that were not asked for")
    id_token = parameters.get("id_token", "")
    if is_hybrid and not id_token:
        raise _invalid("id_token: expected one, since it was asked for")
    code = parameters.get("code", "")
    if not _CODE(code):
        raise _invalid("code: expected 1 to 4096 printable ASCII characters")
    session_state = parameters.get("session_state", "")
    if session_state:
        check_session_state(session_state)
    return CheckedCallback(code, session_state, id_token, attempt, _DONE)


def token_request(checked: CheckedCallback) -> dict[str, str]:
    """The form that exchanges the code (OpenID Connect Core §3.1.3.1, RFC 7636 §4.5)."""
    return {
        "grant_type": "authorization_code",
        "code": checked.code,
        "redirect_uri": checked.attempt.redirect_uri,
        "code_verifier": checked.attempt.verifier,
    }


def _check_issuer(parameters: Mapping[str, str], metadata: ProviderMetadata, *, requires_issuer: bool) -> None:
    """RFC 9207 §2.4: ``iss`` is the provider's, and it is there where the provider promises it."""
    issuer = parameters.get("iss")
    # The ID token of a hybrid response names the issuer under its signature; providers leave the parameter out then.
    promised = metadata.authorization_response_iss_parameter_supported and "id_token" not in parameters
    if issuer is None and not (requires_issuer or promised):
        return
    if issuer != metadata.issuer:
        found = "none" if issuer is None else "another"
        raise ProviderError("callback_issuer_mismatch", f"callback: iss: expected the provider's issuer, found {found}")


def _cleaned(description: str) -> str:
    """What a log or a listener may be given of a text that anybody can put into an address."""
    printable = "".join(each if each.isprintable() else " " for each in description[: 4 * MAX_DESCRIPTION])
    return " ".join(printable.split())[:MAX_DESCRIPTION]


def _invalid(problem: str) -> RequestError:
    return RequestError("callback_invalid", f"callback: {problem}")
