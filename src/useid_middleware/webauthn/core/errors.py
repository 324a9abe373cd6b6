"""What a ceremony is refused with. The class says what was wrong, the code which check said so.

::

    AuthenticationError
    └── CeremonyError           the response: its form, client data, authenticator data, key, signature, extensions
        └── AttestationError    the attestation statement: its form, its signature, its certificates
            └── UntrustedError  it verifies, and nobody we trust vouches for it
    ProviderError
    └── MetadataError           a metadata BLOB that must not be believed

A registration that is refused is HTTP 400, one that nobody vouches for 403; an assertion that is refused is 401,
whatever was wrong with it.
"""

from ...errors import AuthenticationError, ProviderError


class CeremonyError(AuthenticationError):
    """The response to a ceremony does not hold."""

    status_hint = 400


class AttestationError(CeremonyError):
    """The attestation statement does not hold."""


class UntrustedError(AttestationError):
    """The attestation statement holds, but the policy does not accept it, or no trust anchor vouches for it."""

    status_hint = 403


class MetadataError(ProviderError):
    """A metadata BLOB (FIDO Metadata Service 3) does not hold."""
