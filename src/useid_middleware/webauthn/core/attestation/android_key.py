"""``android-key``: the Android key store certifies the credential key and says how it came to be (WebAuthn L3 §8.4)."""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from asn1crypto.parser import parse, peek

from ..certificates import raw_extension
from ..errors import AttestationError
from .statement import (
    Attestation,
    AttestationType,
    Subject,
    algorithm_member,
    bytes_member,
    certificates_member,
    check_members,
    check_same_key,
    malformed,
    verify_by_certificate,
)

KEY_DESCRIPTION: Final = "1.3.6.1.4.1.11129.2.1.17"

#: Tags in an AuthorizationList (Android key attestation certificate extension, "Schema").
_PURPOSE, _ALL_APPLICATIONS, _ORIGIN = 1, 600, 702
_PURPOSE_SIGN: Final = 2
_ORIGIN_GENERATED: Final = 0


#: Identifier octets of a KeyDescription's members: versions and security levels, challenge, unique id, the two lists.
_KEY_DESCRIPTION: Final = bytes((0x02, 0x0A, 0x02, 0x0A, 0x04, 0x04, 0x30, 0x30))
_INTEGER, _SEQUENCE, _SET = 0x02, 0x30, 0x31


@dataclass(frozen=True, slots=True)
class _Value:
    """One value in DER."""

    identifier: int
    tag: int
    content: bytes

    @property
    def members(self) -> "list[_Value]":
        """What is inside, if that is DER as well."""
        return _read_values(self.content)


def verify_android_key(statement: object, subject: Subject) -> Attestation:
    """A certificate of the Android key store, whose extension says how the key came to be (§8.4)."""
    members = check_members(statement, required=("alg", "sig", "x5c"))
    algorithm, path = algorithm_member(members, subject), certificates_member(members)
    key = verify_by_certificate(
        path[0], algorithm=algorithm, message=subject.signed, signature=bytes_member(members, "sig")
    )
    check_same_key(key, subject)
    found = raw_extension(path[0], KEY_DESCRIPTION)
    if found is None:
        raise malformed("credCert: expected the extension with the key description")
    challenge, software, environment = _read_key_description(found.der)
    if not compare_digest(challenge, subject.client_data_hash):
        raise AttestationError(
            "webauthn_attestation_challenge_mismatch", "key description: expected the hash of the client data"
        )
    _check_authorizations(software, environment, subject)
    return Attestation("android-key", AttestationType.BASIC, path)


def _check_authorizations(software: _Value, environment: _Value, subject: Subject) -> None:
    """The key was made in the key store, to sign, and for one application (§8.4)."""
    guarded = {each.tag: each for each in environment.members}
    either = {each.tag: each for each in software.members} | guarded
    if _ALL_APPLICATIONS in either:
        raise _authorization_refused("allApplications: expected the key to belong to one application")
    stated = guarded if subject.rules.demands_trusted_environment else either
    if not {_ORIGIN, _PURPOSE} <= set(stated):
        if stated is either and subject.rules.accepts_android_keys_that_do_not_state_origin_and_purpose:
            return
        raise _authorization_refused("expected origin and purpose to be stated")
    if _number(_only(stated[_ORIGIN], _INTEGER)) != _ORIGIN_GENERATED:
        raise _authorization_refused("origin: expected KM_ORIGIN_GENERATED")
    if _PURPOSE_SIGN not in map(_number, _only(stated[_PURPOSE], _SET).members):
        raise _authorization_refused("purpose: expected KM_PURPOSE_SIGN")


def _read_key_description(der: bytes) -> tuple[bytes, _Value, _Value]:
    """Challenge, and what software and the trusted environment enforce."""
    outer = _read_values(der)
    if len(outer) != 1 or outer[0].identifier != _SEQUENCE:
        raise _not_a_description()
    members = outer[0].members
    if bytes(each.identifier for each in members) != _KEY_DESCRIPTION:
        raise _not_a_description()
    return members[4].content, members[6], members[7]


def _only(outer: _Value, identifier: int) -> _Value:
    """The one value inside an explicit tag."""
    members = outer.members
    if len(members) != 1 or members[0].identifier != identifier:
        raise _not_a_description()
    return members[0]


def _number(value: _Value) -> int:
    if value.identifier != _INTEGER or not value.content:
        raise _not_a_description()
    return int.from_bytes(value.content, "big", signed=True)


def _read_values(data: bytes) -> list[_Value]:
    """The values that stand one behind the other."""
    found, at = [], 0
    while at < len(data):
        try:
            size = peek(data[at:])
            _, _, tag, head, content, _ = parse(data[at : at + size], strict=True)
        except ValueError:
            raise _not_a_description() from None
        found.append(_Value(head[0], tag, content))
        at += size
    return found


def _not_a_description() -> AttestationError:
    return malformed("credCert: expected a key description in DER")


def _authorization_refused(problem: str) -> AttestationError:
    return AttestationError("webauthn_attestation_authorization_refused", f"key description: {problem}")
