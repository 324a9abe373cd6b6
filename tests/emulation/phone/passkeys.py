"""A phone with passkeys and the server that it registers with, whose own core verifies every answer."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from useid_middleware.emulation.phone.authenticator import (
    AuthenticatorError,
    Gesture,
    Sources,
)
from useid_middleware.emulation.phone.authenticator_client import Page, create_credential, get_credential
from useid_middleware.webauthn.core.authentication import (
    StoredCredential,
    VerifiedAuthentication,
    verify_authentication,
)
from useid_middleware.webauthn.core.options import (
    Attachment,
    User,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import VerifiedRegistration, verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

NOW = 1_800_000_000
ORIGIN = "https://login.example.org"
PARTY = RelyingParty(id="example.org", name="Example", origins=frozenset({ORIGIN}))
ALICE = User(id=b"alice's handle", name="alice", display_name="Alice")
BOB = User(id=b"bob's handle", name="bob", display_name="Bob")
CHALLENGE = sha256(b"challenge").digest()


def secret(name: str) -> bytes:
    """32 bytes of chance, the same in each run."""
    return sha256(name.encode()).digest()


@dataclass
class Phone:
    """A phone, and the server that it registers with and logs in to."""

    sources: Sources = ()
    party: RelyingParty = PARTY
    page: Page = Page(ORIGIN)  # noqa: RUF009 - it is immutable
    gesture: Gesture = Gesture.VERIFICATION
    attachment: Attachment = Attachment.PLATFORM
    #: What the server keeps, by credential id.
    records: dict[bytes, StoredCredential] = field(default_factory=dict)

    def register(
        self,
        user: User = ALICE,
        *,
        name: str = "first",
        now: float = NOW,
        policy: AttestationPolicy | None = None,
        **asked: Any,
    ) -> VerifiedRegistration:
        """A registration, verified, with what the server ``asked``."""
        options, state = begin_registration(self.party, user, challenge=CHALLENGE, now=now, **asked)
        self.sources, credential = create_credential(
            options,
            page=self.page,
            sources=self.sources,
            gesture=self.gesture,
            secret=secret(name),
            now=now,
            attachment=self.attachment,
        )
        verified = verify_registration(
            read_registration(json.loads(json.dumps(credential))),
            expected_state=state,
            expected_party=self.party,
            policy=policy or AttestationPolicy(),
            is_known=False,
            now=now,
        )
        self.records[verified.credential_id] = StoredCredential(
            credential_id=verified.credential_id,
            public_key=verified.public_key,
            sign_count=verified.sign_count,
            user_handle=user.id,
            is_backup_eligible=verified.is_backup_eligible,
        )
        return verified

    def log_in(
        self, *, user_name: str | None = None, challenge: bytes = CHALLENGE, **asked: Any
    ) -> VerifiedAuthentication:
        """An authentication, verified, with what the server ``asked``."""
        options, state = begin_authentication(self.party, challenge=challenge, now=NOW, **asked)
        self.sources, credential = get_credential(
            options,
            page=self.page,
            sources=self.sources,
            gesture=self.gesture,
            user_name=user_name,
            attachment=self.attachment,
        )
        response = read_authentication(json.loads(json.dumps(credential)))
        verified = verify_authentication(
            response,
            expected_state=state,
            expected_party=self.party,
            credential=self.records.get(response.credential_id),
            now=NOW,
        )
        record = self.records[verified.credential_id]
        self.records[verified.credential_id] = StoredCredential(
            credential_id=record.credential_id,
            public_key=record.public_key,
            sign_count=verified.sign_count,
            user_handle=record.user_handle,
            is_backup_eligible=record.is_backup_eligible,
        )
        return verified


def refused(kind: type[AuthenticatorError], work: Any, *arguments: Any, **keywords: Any) -> str:
    """The code of the error of this kind."""
    with pytest.raises(kind) as caught:
        work(*arguments, **keywords)
    assert type(caught.value) is kind
    return caught.value.code


def creation(**members: Any) -> dict[str, Any]:
    """Creation options with some members changed; ``None`` leaves one out."""
    options, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW)
    return {name: value for name, value in (options | members).items() if value is not None}


def request(**members: Any) -> dict[str, Any]:
    """Request options with some members changed; ``None`` leaves one out."""
    options, _ = begin_authentication(PARTY, challenge=CHALLENGE, now=NOW)
    return {name: value for name, value in (options | members).items() if value is not None}


def create(options: Any, *, page: Page = Page(ORIGIN), gesture: Gesture = Gesture.VERIFICATION) -> dict[str, Any]:  # noqa: B008 - it is immutable
    """A credential of a phone that has none."""
    return create_credential(options, page=page, sources=(), gesture=gesture, secret=secret("first"), now=NOW)[1]
