"""A card from a test PKI: its keys come from the PKI's secret and its personality, so it is the same card each time."""

from datetime import date
from hmac import digest

from ...eac.certificate_chain import MAX_TRUST_POINTS, TrustStore
from ..pki import PKI, revoke
from .chip import Card
from .faults import Fault, FaultyCard
from .making import RI_REVOCATION_KEY, make_chip
from .personalisation import Personality
from .session import Random
from .state import CardState, new_state


def issue_card(
    personality: Personality,
    *,
    pki: PKI,
    today: date,
    random: Random,
    state: CardState | None = None,
    fault: Fault | None = None,
) -> Card | FaultyCard:
    """The card of this personality, ready for commands.

    ``today`` is the day it is handed over; ``state`` is that of an earlier run, to go on with; ``fault`` makes it
    misbehave (``faults``). ``random`` gives as many bytes as it is asked for.
    """
    if state is None:
        trust = TrustStore(pki.trust_points[:MAX_TRUST_POINTS], today)
        state = new_state(personality, seed=seed_of(personality, pki=pki), trust=trust)
    if fault is None:
        return Card(make_chip(personality, seed=state.seed, signer=pki.signer), state, random=random)
    chip = make_chip(personality, seed=state.seed, signer=pki.signer, cloned=fault.cloned)
    return FaultyCard(Card(chip, fault.starts(state), random=random), fault)


def with_revocations(pki: PKI, personality: Personality, *, state: CardState | None = None) -> PKI:
    """The PKI with this card on its revocation list, if the personality says that the card is revoked."""
    return revoke_card(pki, personality, state=state) if personality.document.revoked else pki


def revoke_card(pki: PKI, personality: Personality, *, state: CardState | None = None) -> PKI:
    """The PKI with this card on its revocation list."""
    seed = seed_of(personality, pki=pki) if state is None else state.seed
    chip = make_chip(personality, seed=seed, signer=pki.signer)
    return revoke(pki, chip_public=chip.ri_keys[RI_REVOCATION_KEY].public)


def seed_of(personality: Personality, *, pki: PKI) -> bytes:
    """The seed of the card's keys: nobody without the PKI's secret can compute it."""
    secret = pki.csca.private.to_bytes(pki.csca.key.key_size // 8, "big")
    return digest(secret, f"useid card {personality.title}".encode(), "sha256")
