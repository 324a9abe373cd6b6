"""The steps of each kind of login: by their names workers are chosen, and faults are drawn."""

import re
from typing import Final

_STEPS: Final = (
    ("create", re.compile(r"POST /auth/(session/create|eid/start|passkeys/login/options)|GET /auth/login")),
    ("events", re.compile(r"GET /auth/(eid/)?session/[^/]+/events")),
    ("scan", re.compile(r"POST /auth/session/[^/]{22}|GET /auth/eid/tctoken/.*")),
    ("card", re.compile(r"POST /auth/eid/paos")),
    ("approve", re.compile(r"POST /auth/(approve|eid/session/[^/]+/sealed)")),
    ("account", re.compile(r"POST /auth/webauthn/accounts")),
    ("register", re.compile(r"PUT /auth/webauthn/accounts/[^/]+")),
    ("prove", re.compile(r"POST /auth/webauthn/accounts/[^/]+/assertions")),
    ("claim", re.compile(r"POST /auth/(session/[^/]+/claim|passkeys/login)|GET /auth/(callback|.*/refresh/.*)")),
)
_QR: Final = ("create", "events", "scan", "approve", "claim")
_BOUND: Final = ("account", "register", "prove")
#: All of each kind, as they come.
STEPS: Final[dict[str, tuple[str, ...]]] = {
    "qr": _QR,
    "qr-known": _QR,
    # The way to the provider, and the way back.
    "oidc": ("create", "claim"),
    # The options, and the assertion.
    "passkey": ("create", "claim"),
    "eid-same-device": ("create", "scan", "card", "claim"),
    "eid-integrated": ("create", "events", "scan", "card", "approve", "claim"),
    "eid-bound": ("create", "events", "scan", "card", *_BOUND, "claim"),
    "bound-qr": ("create", "events", "scan", "approve", *_BOUND, "claim"),
}


def step_of(method: str, path: str) -> str:
    """Which step of a login a request is; empty for all others."""
    line = f"{method} {path}"
    return next((name for name, pattern in _STEPS if pattern.fullmatch(line)), "")
