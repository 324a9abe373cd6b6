"""The negative matrix, by the categories of the FIDO conformance tools: every change has its code, and is a 4xx."""

from typing import Any

import pytest

from tests.webauthn import refused_assertions, refused_attestations, refused_registrations
from tests.webauthn.authenticator import CREDENTIAL_ID, FRAMED, PARTY, USER, Authenticating, Registering
from tests.webauthn.certificates import NOW
from useid_middleware.errors import StateError
from useid_middleware.webauthn.core.authentication import verify_authentication
from useid_middleware.webauthn.core.errors import CeremonyError
from useid_middleware.webauthn.core.options import begin_authentication, begin_registration
from useid_middleware.webauthn.core.registration import verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

REGISTRATIONS = [
    pytest.param(changes, code, id=f"{table}: {name}")
    for table, cases in refused_registrations.TABLES.items()
    for name, changes, code in cases
]
ATTESTATIONS = [
    pytest.param({"format": statement_format, "statement": statement} | changes, code, id=f"{statement}: {name}")
    for (statement_format, statement), cases in refused_attestations.TABLES.items()
    for name, changes, code in cases
]
ASSERTIONS = [
    pytest.param(changes, code, id=f"{table}: {name}")
    for table, cases in refused_assertions.TABLES.items()
    for name, changes, code in cases
]


@pytest.mark.parametrize(("changes", "code"), [*REGISTRATIONS, *ATTESTATIONS])
def test_a_registration_with_this_change_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(CeremonyError) as refused:
        Registering(**changes).run()
    assert refused.value.code == code
    assert 400 <= refused.value.status_hint < 500


@pytest.mark.parametrize(("changes", "code"), ASSERTIONS)
def test_an_assertion_with_this_change_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(CeremonyError) as refused:
        Authenticating(**changes).run()
    assert refused.value.code == code
    # What cannot even be read is a bad request; what can, and does not hold, authenticates nobody.
    assert refused.value.status_hint == (400 if code == "webauthn_response_malformed" else 401)


def test_the_matrix_has_no_case_twice() -> None:
    ids = [str(each.id) for each in (*REGISTRATIONS, *ATTESTATIONS)]
    assert len(ids) == len(set(ids))
    assert len(REGISTRATIONS) + len(ATTESTATIONS) + len(ASSERTIONS) >= 120


@pytest.mark.parametrize("now", [NOW - 1, NOW + 300, NOW + 301])
@pytest.mark.parametrize("ceremony", [Registering(), Authenticating()])
def test_a_challenge_holds_from_its_beginning_to_the_end_of_its_lifetime(
    ceremony: Registering | Authenticating, now: float
) -> None:
    ceremony.now = now
    with pytest.raises(StateError) as refused:
        ceremony.run()
    assert (refused.value.code, refused.value.status_hint) == ("webauthn_challenge_expired", 410)


def test_a_challenge_holds_until_the_last_moment() -> None:
    assert Registering(now=NOW + 299.9).run().credential_id == CREDENTIAL_ID
    assert Authenticating(now=NOW + 299.9).run().credential_id == CREDENTIAL_ID


@pytest.mark.parametrize("ceremony", [Registering(), Authenticating()])
def test_a_ceremony_that_began_for_another_relying_party_is_refused(ceremony: Registering | Authenticating) -> None:
    response = ceremony.response()
    other = RelyingParty(id="login.example.org", name="Other", origins=PARTY.origins)
    with pytest.raises(CeremonyError) as refused:
        verify_for(other, ceremony, response)
    assert refused.value.code == "webauthn_party_mismatch"


def verify_for(party: RelyingParty, ceremony: Registering | Authenticating, response: dict[str, Any]) -> None:
    """Verify, for ``party``, what began for the tests' own."""
    challenge = bytes(32)
    if isinstance(ceremony, Registering):
        _, state = begin_registration(PARTY, USER, challenge=challenge, now=NOW)
        verify_registration(
            read_registration(response),
            expected_state=state,
            expected_party=party,
            policy=AttestationPolicy(),
            is_known=False,
            now=NOW,
        )
    else:
        _, asked = begin_authentication(PARTY, challenge=challenge, now=NOW)
        verify_authentication(
            read_authentication(response), expected_state=asked, expected_party=party, credential=None, now=NOW
        )


@pytest.mark.parametrize("value", [None, [], "credential", 1, True])
def test_what_is_no_object_is_no_credential(value: object) -> None:
    for read in (read_registration, read_authentication):
        with pytest.raises(CeremonyError) as refused:
            read(value)
        assert refused.value.code == "webauthn_response_malformed"


def test_messages_quote_nothing_of_what_was_sent() -> None:
    ceremony = Registering(party=FRAMED)
    ceremony.client_data["origin"] = "https://secret.example"
    with pytest.raises(CeremonyError) as refused:
        ceremony.run()
    assert "secret" not in str(refused.value)
