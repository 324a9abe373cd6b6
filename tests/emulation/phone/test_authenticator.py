"""The phone's authenticator: credentials, counters, what the user did, and whom it signs for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emulation.phone.passkeys import (
    ALICE,
    BOB,
    CHALLENGE,
    NOW,
    PARTY,
    Phone,
    create,
    creation,
    refused,
    request,
    secret,
)
from useid_middleware._codec import b64url
from useid_middleware.emulation.phone.authenticator import (
    AAGUID,
    Gesture,
    InvalidState,
    MalformedOptions,
    NotAllowed,
    NotSupported,
    SecurityRefused,
    find_credentials,
    hmac_secrets,
)
from useid_middleware.emulation.phone.authenticator_client import Page, get_credential
from useid_middleware.errors import RequestError
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.errors import CeremonyError
from useid_middleware.webauthn.core.options import (
    Conveyance,
    Descriptor,
    ResidentKey,
    UserVerification,
    begin_registration,
)
from useid_middleware.webauthn.core.relying_party import RelyingParty

PRF_VECTORS = json.loads(Path(__file__).parents[2].joinpath("webauthn/prf_vectors.json").read_text("utf-8"))


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.EDDSA])
@pytest.mark.parametrize("conveyance", [Conveyance.NONE, Conveyance.DIRECT])
@pytest.mark.parametrize("resident_key", [ResidentKey.REQUIRED, ResidentKey.DISCOURAGED])
def test_a_credential_is_registered_and_logs_in(
    algorithm: Algorithm, conveyance: Conveyance, resident_key: ResidentKey
) -> None:
    phone = Phone()
    registered = phone.register(algorithms=[algorithm], conveyance=conveyance, resident_key=resident_key)
    assert registered.algorithm == algorithm
    assert registered.attestation_format == ("none" if conveyance is Conveyance.NONE else "packed")
    assert (registered.aaguid, registered.is_user_verified, registered.sign_count) == (AAGUID, True, 0)
    assert (registered.transports, registered.attachment) == (("hybrid", "internal"), "platform")
    allow = [Descriptor(registered.credential_id)]
    assert phone.log_in(allow=allow).credential_id == registered.credential_id
    assert phone.log_in(allow=allow, challenge=secret("again")).sign_count == 2


def test_the_first_algorithm_of_the_server_that_the_phone_has_is_taken() -> None:
    assert Phone().register(algorithms=[Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA]).algorithm == Algorithm.ES256
    assert Phone().register(algorithms=[Algorithm.EDDSA, Algorithm.ES256]).algorithm == Algorithm.EDDSA


def test_a_server_that_names_no_algorithm_gets_es256() -> None:
    assert create(creation(pubKeyCredParams=[]))["response"]["publicKeyAlgorithm"] == Algorithm.ES256


def test_no_algorithm_that_the_phone_has_is_refused() -> None:
    assert (
        refused(NotSupported, Phone().register, algorithms=[Algorithm.RS256]) == "authenticator_algorithm_unsupported"
    )
    unknown = creation(pubKeyCredParams=[{"type": "quantum-key", "alg": -7}])
    assert refused(NotSupported, create, unknown) == "authenticator_algorithm_unsupported"


def test_a_ceremony_replays_byte_for_byte() -> None:
    asked: dict[str, Any] = {"conveyance": Conveyance.DIRECT, "algorithms": [Algorithm.ES256]}
    options, _ = begin_registration(PARTY, ALICE, challenge=CHALLENGE, now=NOW, **asked)
    assert create(options) == create(options)
    phone = Phone()
    phone.register(name="first", **asked)
    wanted = request(allowCredentials=[{"type": "public-key", "id": b64url(phone.sources[0].id)}])
    ceremony: dict[str, Any] = {"page": phone.page, "sources": phone.sources, "gesture": Gesture.VERIFICATION}
    assert get_credential(wanted, **ceremony) == get_credential(wanted, **ceremony)


def test_two_secrets_make_two_credentials() -> None:
    phone = Phone()
    first, second = phone.register(name="first"), phone.register(name="second")
    assert first.credential_id != second.credential_id
    assert first.public_key != second.public_key
    assert len(phone.sources) == 2


def test_the_counter_goes_up_with_each_signature_and_each_credential_has_its_own() -> None:
    phone = Phone()
    first, second = phone.register(name="first"), phone.register(BOB, name="second")
    allow = [Descriptor(first.credential_id)]
    assert [phone.log_in(allow=allow).sign_count for _ in range(3)] == [1, 2, 3]
    assert phone.log_in(allow=[Descriptor(second.credential_id)]).sign_count == 1


def test_a_copy_of_the_phone_is_found_out_by_its_counter() -> None:
    phone = Phone()
    allow = [Descriptor(phone.register().credential_id)]
    copied = Phone(sources=phone.sources, records=phone.records)
    phone.log_in(allow=allow)
    with pytest.raises(CeremonyError) as caught:
        copied.log_in(allow=allow)
    assert caught.value.code == "webauthn_sign_count"


def test_a_counter_at_its_end_stays_there() -> None:
    phone = Phone()
    registered = phone.register()
    phone.sources = (replace(phone.sources[0], sign_count=0xFFFFFFFE),)
    allow = [Descriptor(registered.credential_id)]
    assert phone.log_in(allow=allow).sign_count == 0xFFFFFFFF
    with pytest.raises(CeremonyError):
        phone.log_in(allow=allow)


def test_the_flags_say_what_the_user_did() -> None:
    preferred: dict[str, Any] = {"user_verification": UserVerification.PREFERRED}
    phone = Phone(gesture=Gesture.PRESENCE)
    registered = phone.register(**preferred)
    assert not registered.is_user_verified
    allow = [Descriptor(registered.credential_id)]
    assert not phone.log_in(allow=allow, **preferred).is_user_verified
    phone.gesture = Gesture.VERIFICATION
    assert phone.log_in(allow=allow, **preferred).is_user_verified


def test_without_a_proof_of_the_owner_nothing_is_made_where_one_is_required() -> None:
    phone = Phone()
    registered = phone.register()
    phone.gesture = Gesture.PRESENCE
    before = phone.sources
    assert refused(NotAllowed, phone.register, name="second") == "authenticator_not_verified"
    allow = [Descriptor(registered.credential_id)]
    assert refused(NotAllowed, phone.log_in, allow=allow) == "authenticator_not_verified"
    assert phone.sources == before


def test_a_user_who_says_no_signs_nothing() -> None:
    phone = Phone()
    registered = phone.register()
    phone.gesture = Gesture.NONE
    before = phone.sources
    assert refused(NotAllowed, phone.register, name="second") == "authenticator_not_confirmed"
    allow = [Descriptor(registered.credential_id)]
    assert refused(NotAllowed, phone.log_in, allow=allow) == "authenticator_not_confirmed"
    assert phone.sources == before


def test_an_excluded_credential_is_not_joined_by_another_and_only_who_confirms_learns_of_it() -> None:
    phone = Phone()
    exclude = [Descriptor(phone.register().credential_id)]
    code = refused(InvalidState, phone.register, name="second", exclude=exclude)
    assert code == "authenticator_credential_excluded"
    phone.gesture = Gesture.NONE
    assert refused(NotAllowed, phone.register, name="second", exclude=exclude) == "authenticator_not_confirmed"


def test_an_excluded_credential_of_another_party_or_phone_does_not_matter() -> None:
    phone = Phone()
    exclude = [Descriptor(phone.register().credential_id)]
    other = RelyingParty(id="other.org", name="Other", origins=frozenset({"https://other.org"}))
    phone.party, phone.page = other, Page("https://other.org")
    phone.register(name="second", exclude=exclude)
    assert Phone().register(exclude=[Descriptor(secret("elsewhere"))]).credential_id


def test_a_phone_without_a_credential_has_nothing_to_sign_with() -> None:
    phone = Phone()
    assert refused(NotAllowed, phone.log_in) == "authenticator_no_credential"
    assert refused(NotAllowed, phone.log_in, allow=[Descriptor(secret("other"))]) == "authenticator_no_credential"
    phone.register()
    # It is not discoverable: without being named, it is not found.
    assert refused(NotAllowed, phone.log_in) == "authenticator_no_credential"


def test_a_credential_is_not_used_for_another_party() -> None:
    phone = Phone()
    registered = phone.register(resident_key=ResidentKey.REQUIRED)
    other = RelyingParty(id="other.org", name="Other", origins=frozenset({"https://other.org"}))
    phone.party, phone.page = other, Page("https://other.org")
    assert refused(NotAllowed, phone.log_in) == "authenticator_no_credential"
    allow = [Descriptor(registered.credential_id)]
    assert refused(NotAllowed, phone.log_in, allow=allow) == "authenticator_no_credential"


def test_a_discoverable_credential_says_whose_it_is_and_another_does_not() -> None:
    phone = Phone()
    phone.register(resident_key=ResidentKey.REQUIRED)
    named = phone.register(BOB, name="second")
    assert phone.log_in().user_handle == ALICE.id
    options = request()
    credential = get_credential(options, page=phone.page, sources=phone.sources, gesture=phone.gesture)[1]
    assert credential["response"]["userHandle"] == b64url(ALICE.id)
    options = request(allowCredentials=[{"type": "public-key", "id": b64url(named.credential_id)}])
    credential = get_credential(options, page=phone.page, sources=phone.sources, gesture=phone.gesture)[1]
    assert "userHandle" not in credential["response"]


def test_of_several_accounts_one_is_chosen_by_its_name() -> None:
    phone = Phone()
    phone.register(ALICE, name="first", resident_key=ResidentKey.REQUIRED)
    phone.register(BOB, name="second", resident_key=ResidentKey.REQUIRED)
    assert refused(NotAllowed, phone.log_in) == "authenticator_account_ambiguous"
    assert phone.log_in(user_name="bob").user_handle == BOB.id
    assert phone.log_in(user_name="alice").user_handle == ALICE.id
    assert refused(NotAllowed, phone.log_in, user_name="carol") == "authenticator_no_credential"


def test_of_several_credentials_of_an_account_the_newest_is_taken() -> None:
    phone = Phone()
    old = phone.register(name="old", now=NOW - 100)
    new = phone.register(name="new")
    twin = phone.register(name="twin")
    assert [source.id for source in find_credentials(
        phone.sources, rp_id=PARTY.id, allow=[old.credential_id, new.credential_id, twin.credential_id]
    )] == [twin.credential_id, new.credential_id, old.credential_id]  # fmt: skip
    allow = [Descriptor(new.credential_id), Descriptor(old.credential_id)]
    assert phone.log_in(allow=allow).credential_id == new.credential_id


def test_a_new_discoverable_credential_replaces_the_accounts_former_one_and_no_other() -> None:
    phone = Phone()
    named = phone.register(name="named")
    phone.register(name="former", resident_key=ResidentKey.REQUIRED)
    others = phone.register(BOB, name="others", resident_key=ResidentKey.REQUIRED)
    latter = phone.register(name="latter", resident_key=ResidentKey.PREFERRED)
    assert [source.id for source in phone.sources] == [
        named.credential_id,
        others.credential_id,
        latter.credential_id,
    ]


@pytest.mark.parametrize("case", PRF_VECTORS["cases"], ids=lambda case: str(case["name"]))
def test_the_prf_is_that_of_the_published_vectors(case: dict[str, str]) -> None:
    salts = [bytes.fromhex(case[name]) for name in ("salt1", "salt2") if name in case]
    outputs = [bytes.fromhex(case[name]) for name in ("output1", "output2") if name in case]
    cred_random = bytes.fromhex(PRF_VECTORS["authenticator_cred_random"])
    assert list(hmac_secrets(cred_random, salts)) == outputs


def test_every_refusal_is_the_callers_and_not_the_servers() -> None:
    for kind in (InvalidState, MalformedOptions, NotAllowed, NotSupported, SecurityRefused):
        assert issubclass(kind, RequestError)
        assert kind.status_hint == 400
