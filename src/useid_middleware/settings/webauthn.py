"""The settings of WebAuthn: passkeys, and the binding of a device switch to the browser."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .values import Group

_AAGUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def _check_aaguid(aaguid: str) -> str:
    if not _AAGUID(aaguid):
        raise ValueError("must be a UUID in lower case, such as ee882879-721c-4913-9775-3dfcce97072a")
    return aaguid


class WebAuthnSettings(Group):
    """WebAuthn."""

    #: Accounts may have passkeys: to log in with, and to raise the level of a session.
    enabled: bool = False
    #: The domain that credentials belong to; empty: the host of ``origin``. Credentials are lost when it changes.
    rp_id: str = ""
    #: Besides our own origin, who may use credentials: other origins below the rp id, and native apps
    #: (``android:apk-key-hash:…``, ``ios:bundle-id:…``).
    origins: tuple[str, ...] = ()
    user_verification: Literal["required", "preferred"] = "required"
    #: What is asked about new authenticators. With anything but ``none`` certificates must lead to one of the anchors.
    attestation: Literal["none", "indirect", "direct", "enterprise"] = "none"
    #: PEM files of certificates that vouch for authenticators; a metadata BLOB (FIDO MDS 3), and who signs it.
    trust_anchors: tuple[Path, ...] = ()
    metadata_blob: Path | None = None
    metadata_roots: tuple[Path, ...] = ()
    #: Only these models; empty: any.
    aaguids: tuple[Annotated[str, AfterValidator(_check_aaguid)], ...] = ()
    #: A ceremony must be finished within this.
    lifetime: Annotated[float, Field(ge=30, le=900)] = 300
    #: So many passkeys an account may have.
    max_passkeys: Annotated[int, Field(ge=1, le=100)] = 20
