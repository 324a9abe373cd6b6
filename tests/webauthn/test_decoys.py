"""Lists of credentials for a name tell nothing of the account: not that there is one, and not what it has."""

from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from useid_middleware.webauthn.core.cose import Algorithm, stored_public_key
from useid_middleware.webauthn.core.decoys import STEP, decoy_credential, with_decoys
from useid_middleware.webauthn.core.options import ALL_HINTS, Descriptor, Hint, hints_for

KEY = bytes(range(32))
NAMES = [f"user {number}" for number in range(2000)]


def some(count: int) -> list[Descriptor]:
    """So many credentials that an account has."""
    return [Descriptor(bytes([number]) * 32, ("internal",)) for number in range(1, count + 1)]


@pytest.mark.parametrize("name", ["alice", "", "Zoë", "'; --", "x" * 1000])
def test_a_name_has_the_same_decoys_each_time_and_others_under_another_key(name: str) -> None:
    listed = with_decoys((), name, key=KEY)
    assert with_decoys((), name, key=KEY) == listed
    assert not set(with_decoys((), name, key=b"k" * 32)) & set(listed)
    assert not set(with_decoys((), name + " ", key=KEY)) & set(listed)


@pytest.mark.parametrize("count", range(STEP + 1))
def test_as_long_a_list_is_told_whether_or_not_there_is_an_account(count: int) -> None:
    known = some(count)
    for name in NAMES[:200]:
        listed = with_decoys(known, name, key=KEY)
        assert len(listed) == len(with_decoys((), name, key=KEY))
        assert set(known) <= set(listed)


@pytest.mark.parametrize("count", [5, 7, 8, 9, 13, 20, 100])
def test_whoever_has_many_credentials_is_told_all_of_them_and_how_many_only_roughly(count: int) -> None:
    listed = with_decoys(some(count), "alice", key=KEY)
    assert set(some(count)) <= set(listed)
    assert len(listed) % STEP == 0
    assert count <= len(listed) < count + 2 * STEP


def test_a_longer_list_is_no_proof_of_an_account() -> None:
    lengths = Counter(len(with_decoys((), name, key=KEY)) for name in NAMES)
    assert set(lengths) == {STEP, 2 * STEP}
    assert 60 < lengths[2 * STEP] < 200


def test_the_order_tells_nothing() -> None:
    """Each place is a credential's as often as another."""
    names = [name for name in NAMES if len(with_decoys((), name, key=KEY)) == STEP]
    places: Counter[int] = Counter()
    for number, name in enumerate(names):
        real = Descriptor(with_decoys((), f"real {number}", key=b"r" * 32)[0].id, ("internal",))
        places[with_decoys([real], name, key=KEY).index(real)] += 1
    listed = with_decoys(some(2), "alice", key=KEY)
    assert list(listed) == sorted(listed, key=lambda each: each.id)
    assert set(places) == set(range(STEP))


def test_decoys_that_stay_stay_where_a_credential_comes() -> None:
    nobody = set(with_decoys((), "alice", key=KEY))
    somebody = set(with_decoys(some(1), "alice", key=KEY))
    assert len(nobody & somebody) == len(nobody) - 1


def test_decoys_come_in_the_shapes_of_credentials() -> None:
    decoys = [each for name in NAMES for each in with_decoys((), name, key=KEY)]
    assert len({each.id for each in decoys}) == len(decoys)
    shapes = Counter((len(each.id), each.transports) for each in decoys)
    assert set(shapes) == {
        (16, ("hybrid", "internal")),
        (20, ("hybrid", "internal")),
        (32, ("hybrid", "internal")),
        (32, ("internal",)),
        (48, ("nfc", "usb")),
    }
    # As a registration keeps them: in alphabetical order.
    assert all(list(transports) == sorted(transports) for _, transports in shapes)


def test_a_decoy_has_the_record_that_a_credential_of_its_shape_would_have() -> None:
    for name in NAMES[:100]:
        for each in with_decoys((), name, key=KEY):
            record = decoy_credential(each.id, key=KEY)
            assert record == decoy_credential(each.id, key=KEY)
            assert (record.credential_id, record.sign_count, len(record.user_handle)) == (each.id, 0, 32)
            assert record.is_backup_eligible is ("hybrid" in each.transports)
            assert record.user_handle != decoy_credential(each.id, key=b"k" * 32).user_handle


def test_a_decoys_key_is_one_that_anybody_can_sign_with() -> None:
    key = stored_public_key(decoy_credential(b"c" * 32, key=KEY).public_key)
    assert key.algorithm == Algorithm.ES256
    key.verify(b"message", derive_private_key(1, SECP256R1()).sign(b"message", ECDSA(SHA256())))


@pytest.mark.parametrize(
    ("transports", "hints"),
    [
        ([("internal",)], (Hint.CLIENT_DEVICE,)),
        ([("hybrid", "internal")], (Hint.CLIENT_DEVICE, Hint.HYBRID)),
        ([("cable",)], (Hint.HYBRID,)),
        ([("nfc", "usb")], (Hint.SECURITY_KEY,)),
        ([("usb",), ("internal",)], (Hint.CLIENT_DEVICE, Hint.SECURITY_KEY)),
        ([("usb",), ()], ALL_HINTS),
        ([("something-new",)], ALL_HINTS),
        ([], ALL_HINTS),
    ],
)
def test_the_browser_is_to_offer_first_what_reaches_a_credential(
    transports: list[tuple[str, ...]], hints: tuple[Hint, ...]
) -> None:
    assert hints_for([Descriptor(b"c", each) for each in transports]) == hints
