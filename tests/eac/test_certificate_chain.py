"""Chains: who may issue what, until when, with which rights; and a chip whose trust points and date move."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import WorkedExample
from tests.eac.issuing import (
    CVCA,
    DV,
    DV_CERTIFICATE,
    LINK,
    NEXT_CVCA,
    RIGHTS,
    ROOT,
    TERMINAL,
    TERMINAL_CERTIFICATE,
    TODAY,
    Party,
)
from useid_middleware.eac.authentication_errors import (
    CertificateChainError,
    CertificateError,
    CertificateExpired,
    CertificateIssuerUnknown,
    CertificateNotYetValid,
    CertificateSignatureError,
)
from useid_middleware.eac.certificate_chain import (
    TrustStore,
    Verified,
    check_dates,
    check_rights,
    find_chain,
    import_certificate,
    parse_trust_points,
    trust,
    verify_certificate,
    verify_chain,
)
from useid_middleware.eac.chat import CHAT, Role, TerminalType, all_rights
from useid_middleware.eac.curves import P256
from useid_middleware.eac.cvc import Certificate, parse_certificate
from useid_middleware.eac.oids import OID

AT = TerminalType.AUTHENTICATION_TERMINAL
CHAIN = (LINK, DV_CERTIFICATE, TERMINAL_CERTIFICATE)
POINT = trust(ROOT)
STORE = TrustStore((POINT,), TODAY)


def test_a_whole_chain_verifies_in_any_order() -> None:
    for certificates in (CHAIN, CHAIN[::-1], (*CHAIN, ROOT)):
        verified = verify_chain(certificates, trusted=[POINT], today=TODAY)
        assert verified.certificate == TERMINAL_CERTIFICATE
        assert verified.chat == CHAT(AT, Role.TERMINAL, RIGHTS)
        assert verified.role is Role.TERMINAL
        assert verified.reference == TERMINAL.name


def test_a_chain_begins_at_the_trust_point_that_is_there() -> None:
    dv = NEXT_CVCA.issue(DV)
    certificates = (LINK, dv, TERMINAL_CERTIFICATE)
    assert find_chain(certificates, references=[CVCA.name]) == certificates
    assert find_chain(certificates, references=[NEXT_CVCA.name]) == certificates[1:]
    assert find_chain(certificates, references=[NEXT_CVCA.name, CVCA.name]) == certificates[1:]
    verified = verify_chain(certificates, trusted=[POINT], today=date(2026, 7, 1))
    assert verified.key == TERMINAL.says(b"").key.on(TERMINAL.curve)


PARTIES = {"cvca": CVCA, "link": NEXT_CVCA, "dv": DV, "terminal": TERMINAL}


def chain(**changes: Party) -> tuple[Certificate, ...]:
    """Link, DV by the linked CVCA, terminal: each party can be another one."""
    parties = PARTIES | changes
    return (
        parties["cvca"].issue(parties["link"]),
        parties["link"].issue(parties["dv"]),
        parties["dv"].issue(parties["terminal"]),
    )


LATER = date(2026, 7, 1)
SUB_DV = replace(DV, name=b"DETESTDV00002", private=106)


def test_the_chain_of_the_following_table_is_well_without_a_change() -> None:
    assert verify_chain(chain(), trusted=[POINT], today=LATER).chat.rights == RIGHTS


@pytest.mark.parametrize(
    ("certificates", "error", "reason"),
    [
        (chain(terminal=replace(TERMINAL, expiration=date(2026, 6, 30))), CertificateExpired, "until an earlier day"),
        (chain(dv=replace(DV, expiration=date(2026, 6, 30))), CertificateExpired, "until an earlier day"),
        (chain(link=replace(NEXT_CVCA, expiration=date(2026, 6, 30))), CertificateExpired, "until an earlier day"),
        (chain(terminal=replace(TERMINAL, effective=date(2026, 7, 2))), CertificateNotYetValid, "from a later day"),
        (chain(dv=replace(DV, effective=date(2026, 7, 2))), CertificateNotYetValid, "from a later day"),
        (chain(link=replace(NEXT_CVCA, effective=date(2026, 7, 2))), CertificateNotYetValid, "from a later day"),
        (chain()[1:], CertificateIssuerUnknown, "a trust point of the chip"),
        ((chain()[0], chain()[2]), CertificateIssuerUnknown, "a trust point of the chip"),
        (chain()[:2], CertificateChainError, "one terminal certificate, found 0"),
        (
            (*chain(), DV.issue(replace(TERMINAL, name=b"DETESTAT00002"))),
            CertificateChainError,
            "one terminal certificate, found 2",
        ),
        ((), CertificateChainError, "one terminal certificate, found 0"),
        ((chain(cvca=replace(CVCA, private=1))[0], *chain()[1:]), CertificateSignatureError, "does not verify"),
        ((*chain()[:2], chain(dv=replace(DV, private=1))[2]), CertificateSignatureError, "does not verify"),
        (
            chain(terminal=replace(TERMINAL, terminal_type=TerminalType.INSPECTION_SYSTEM, rights=0)),
            CertificateChainError,
            "the issuer's terminal type",
        ),
        (
            chain(link=replace(NEXT_CVCA, terminal_type=TerminalType.SIGNATURE_TERMINAL, rights=0)),
            CertificateChainError,
            "the issuer's terminal type",
        ),
        (
            chain(dv=replace(DV, with_parameters=True)),
            CertificateChainError,
            "domain parameters in CVCA certificates only",
        ),
        (
            chain(terminal=replace(TERMINAL, with_parameters=True)),
            CertificateChainError,
            "domain parameters in CVCA certificates only",
        ),
        (chain(terminal=replace(TERMINAL, curve=P256)), CertificateError, "expected a point on the curve"),
        (
            (chain()[0], CVCA.issue(TERMINAL)),
            CertificateChainError,
            "a TERMINAL certificate cannot be issued by a CVCA",
        ),
        (
            (*chain()[:2], DV.issue(SUB_DV), SUB_DV.issue(TERMINAL)),
            CertificateChainError,
            "a DV_OFFICIAL certificate cannot be issued by a DV_OFFICIAL",
        ),
    ],
)
def test_a_wrong_chain_is_refused(
    certificates: Iterable[Certificate], error: type[CertificateError], reason: str
) -> None:
    with pytest.raises(error, match=reason) as refusal:
        verify_chain(certificates, trusted=[POINT], today=LATER)
    assert refusal.value.code == error.stable_code


def test_a_chain_from_an_expired_or_future_trust_point_is_refused() -> None:
    for today, error in ((date(2027, 1, 1), CertificateExpired), (date(2025, 12, 31), CertificateNotYetValid)):
        with pytest.raises(error):
            verify_chain(CHAIN, trusted=[POINT], today=today)


def test_names_in_a_circle_end() -> None:
    first, second = (replace(DV, name=name) for name in (b"DETESTDV00001", b"DETESTDV00002"))
    circle = (first.issue(second), second.issue(first), first.issue(TERMINAL))
    with pytest.raises(CertificateIssuerUnknown):
        find_chain(circle, references=[CVCA.name])


@pytest.mark.parametrize(
    ("issuer", "role"),
    [
        (Role.CVCA, Role.TERMINAL),
        (Role.DV_OFFICIAL, Role.CVCA),
        (Role.DV_OFFICIAL, Role.DV_NON_OFFICIAL),
        (Role.DV_NON_OFFICIAL, Role.DV_OFFICIAL),
        (Role.TERMINAL, Role.TERMINAL),
        (Role.TERMINAL, Role.CVCA),
    ],
)
def test_nobody_issues_beyond_its_role(issuer: Role, role: Role) -> None:
    party = replace(DV, role=issuer)
    verified = replace(POINT, certificate=party.issue(party), key=TERMINAL.says(b"").key.on(DV.curve))
    verified = replace(verified, chat=replace(POINT.chat, role=issuer))
    with pytest.raises(CertificateChainError, match=f"a {role.name} certificate cannot be issued by a {issuer.name}"):
        verify_certificate(party.issue(replace(TERMINAL, role=role)), issuer=verified)


def test_another_issuers_certificate_is_refused_by_its_name() -> None:
    other = replace(CVCA, name=b"DETESTCVCA00009")
    with pytest.raises(CertificateIssuerUnknown, match="by its authority reference"):
        verify_certificate(other.issue(DV), issuer=POINT)


@given(st.lists(st.integers(0, all_rights(AT)), min_size=3, max_size=3))
def test_rights_that_the_issuer_lacks_have_no_effect(rights: list[int]) -> None:
    cvca, dv, terminal = (replace(party, rights=each) for party, each in zip((CVCA, DV, TERMINAL), rights, strict=True))
    certificates = (cvca.issue(dv), dv.issue(terminal))
    verified = verify_chain(certificates, trusted=[trust(cvca.issue(cvca))], today=TODAY)
    assert verified.chat.rights == rights[0] & rights[1] & rights[2]


def test_who_issues_refuses_rights_that_it_lacks() -> None:
    issuer = CHAT(AT, Role.DV_OFFICIAL, 0b110)
    check_rights(CHAT(AT, Role.TERMINAL, 0b100), issuer=issuer)
    for chat in (
        CHAT(AT, Role.TERMINAL, 0b101),
        CHAT(TerminalType.SIGNATURE_TERMINAL, Role.TERMINAL, 0),
    ):
        with pytest.raises(CertificateChainError, match="none that the issuer does not have"):
            check_rights(chat, issuer=issuer)


@pytest.mark.parametrize(
    "certificate",
    [
        DV_CERTIFICATE,
        LINK,
        DV.issue(DV),
        replace(CVCA, with_parameters=False).issue(replace(CVCA, with_parameters=False)),
    ],
)
def test_only_a_self_signed_cvca_with_its_curve_is_a_trust_point(certificate: Certificate) -> None:
    with pytest.raises(CertificateChainError, match="trust point"):
        trust(certificate)


def test_a_trust_point_must_verify_itself() -> None:
    with pytest.raises(CertificateSignatureError):
        trust(replace(CVCA, private=1).issue(CVCA))


def test_the_worked_examples_chain_has_two_terminal_types(example: WorkedExample) -> None:
    cvca, dv, _ = (parse_certificate(example[name]) for name in ("cvca_cert", "dv_cert", "ta_cert"))
    with pytest.raises(CertificateChainError, match="the issuer's terminal type"):
        verify_certificate(dv, issuer=trust(cvca))


def test_the_worked_examples_terminal_verifies_below_its_dv(example: WorkedExample) -> None:
    cvca, dv, terminal = (parse_certificate(example[name]) for name in ("cvca_cert", "dv_cert", "ta_cert"))
    point = trust(cvca)
    # Its CVCA is one of inspection systems. Taken for one of authentication terminals, all the rest holds.
    chat = CHAT(AT, Role.CVCA, all_rights(AT))
    verified = verify_certificate(dv, issuer=replace(point, chat=chat))
    assert verify_certificate(terminal, issuer=verified).chat == terminal.says.chat


def test_dates_hold_from_the_first_day_to_the_last() -> None:
    for today in (TERMINAL.effective, TERMINAL.expiration):
        check_dates(TERMINAL_CERTIFICATE, today=today)
    with pytest.raises(CertificateExpired):
        check_dates(TERMINAL_CERTIFICATE, today=TERMINAL.expiration + timedelta(days=1))
    with pytest.raises(CertificateNotYetValid):
        check_dates(TERMINAL_CERTIFICATE, today=TERMINAL.effective - timedelta(days=1))


def test_a_link_is_a_trust_point_beside_the_old_one() -> None:
    store, verified = import_certificate(STORE, LINK, issuer=POINT)
    assert store.points == (verified, POINT)
    assert store.references(AT) == (NEXT_CVCA.name, CVCA.name)
    assert store.references(TerminalType.INSPECTION_SYSTEM) == ()
    assert store.find(NEXT_CVCA.name, terminal_type=AT) == verified
    assert store.find(CVCA.name, terminal_type=AT) == POINT
    assert store.find(CVCA.name, terminal_type=TerminalType.INSPECTION_SYSTEM) is None
    assert store.find(b"DETESTCVCA00009", terminal_type=AT) is None
    assert store.today == NEXT_CVCA.effective


def test_the_oldest_trust_point_makes_room_and_those_of_other_types_stay() -> None:
    inspection = replace(CVCA, name=b"DETESTISYS00001", terminal_type=TerminalType.INSPECTION_SYSTEM, rights=3)
    other = trust(inspection.issue(inspection))
    third = replace(NEXT_CVCA, name=b"DETESTCVCA00003", private=105)
    store, second = import_certificate(replace(STORE, points=(POINT, other)), LINK, issuer=POINT)
    assert store.points == (second, POINT, other)
    store, newest = import_certificate(store, NEXT_CVCA.issue(third), issuer=second)
    assert store.points == (newest, second, other)
    assert store.references(AT) == (b"DETESTCVCA00003", b"DETESTCVCA00002")


def test_a_link_that_is_there_changes_nothing() -> None:
    store, second = import_certificate(STORE, LINK, issuer=POINT)
    assert import_certificate(store, LINK, issuer=POINT) == (store, second)
    assert import_certificate(store, ROOT, issuer=POINT) == (store, POINT)


def test_an_expired_link_is_the_way_to_the_next_one() -> None:
    late = replace(STORE, today=date(2030, 1, 1))
    store, second = import_certificate(late, LINK, issuer=POINT)
    assert store.points[0] == second
    with pytest.raises(CertificateExpired, match="issuer"):
        import_certificate(store, NEXT_CVCA.issue(replace(DV, expiration=date(2031, 1, 1))), issuer=second)
    third = replace(NEXT_CVCA, name=b"DETESTCVCA00003", private=105, expiration=date(2033, 1, 1))
    store, newest = import_certificate(store, NEXT_CVCA.issue(third), issuer=second)
    _, dv = import_certificate(store, third.issue(replace(DV, expiration=date(2031, 1, 1))), issuer=newest)
    assert dv.role is Role.DV_OFFICIAL


def test_a_link_without_domain_parameters_inherits_them() -> None:
    _, second = import_certificate(STORE, CVCA.issue(replace(NEXT_CVCA, with_parameters=False)), issuer=POINT)
    assert second.key.public.curve is CVCA.curve


def test_a_link_may_lead_to_another_curve_and_wider_rights() -> None:
    wider = replace(NEXT_CVCA, curve=P256, rights=all_rights(AT))
    dv, terminal = (replace(party, curve=P256, rights=all_rights(AT)) for party in (DV, TERMINAL))
    store, second = import_certificate(STORE, CVCA.issue(wider), issuer=POINT)
    assert second.key.public.curve is P256
    store, below = import_certificate(store, wider.issue(dv), issuer=second)
    _, verified = import_certificate(store, dv.issue(terminal), issuer=below)
    assert verified.chat.rights == all_rights(AT)


def test_a_chip_refuses_what_has_expired_on_its_day() -> None:
    early = date(2026, 2, 28)
    with pytest.raises(CertificateExpired, match="certificate: expected one that has not expired"):
        import_certificate(STORE, CVCA.issue(replace(DV, expiration=early)), issuer=POINT)
    store, dv = import_certificate(STORE, DV_CERTIFICATE, issuer=POINT)
    with pytest.raises(CertificateExpired, match="certificate"):
        import_certificate(store, DV.issue(replace(TERMINAL, expiration=early)), issuer=dv)
    assert import_certificate(store, DV.issue(replace(TERMINAL, expiration=TODAY)), issuer=dv)[0] == store


@pytest.mark.parametrize(
    ("dv", "moves"), [(DV, True), (replace(DV, role=Role.DV_NON_OFFICIAL), False)], ids=["official", "non-official"]
)
def test_only_who_is_vouched_for_moves_the_chips_date(dv: Party, moves: bool) -> None:
    later = date(2026, 5, 5)
    store, issuer = import_certificate(STORE, CVCA.issue(dv), issuer=POINT)
    assert store.today == TODAY
    store, terminal = import_certificate(store, dv.issue(replace(TERMINAL, effective=later)), issuer=issuer)
    assert terminal.accurate is moves
    assert store.today == (later if moves else TODAY)
    moved, _ = import_certificate(STORE, CVCA.issue(replace(dv, effective=later)), issuer=POINT)
    assert moved.today == later


def test_a_chip_refuses_what_its_trust_point_has_not_signed() -> None:
    wrong = replace(CVCA, private=1).issue(replace(DV, effective=date(2026, 12, 1)))
    with pytest.raises(CertificateSignatureError):
        import_certificate(STORE, wrong, issuer=POINT)


def test_trust_points_are_read_from_root_and_links() -> None:
    points = parse_trust_points([ROOT, LINK])
    assert [each.reference for each in points] == [NEXT_CVCA.name, CVCA.name]
    assert all(isinstance(each, Verified) for each in points)
    with pytest.raises(CertificateIssuerUnknown, match="of a trust point before it"):
        parse_trust_points([LINK, ROOT])
    with pytest.raises(CertificateError, match="CVCA certificates only"):
        parse_trust_points([ROOT, DV_CERTIFICATE])


def test_protocols_may_differ_along_the_chain() -> None:
    dv = replace(DV, protocol=OID.TA_ECDSA_SHA_512)
    terminal = replace(TERMINAL, protocol=OID.TA_ECDSA_SHA_384)
    verified = verify_chain((CVCA.issue(dv), dv.issue(terminal)), trusted=[POINT], today=TODAY)
    assert verified.key.protocol == OID.TA_ECDSA_SHA_384
