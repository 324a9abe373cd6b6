"""CHAT: bits and names by TR-03110-3 C.4, rights that only shrink, and what is asked for against what is allowed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations, truncations
from useid_middleware.eac.authentication_errors import ChatError
from useid_middleware.eac.chat import (
    CHAT,
    AuthenticationRight,
    InspectionRight,
    RequestedRights,
    Role,
    SignatureRight,
    TerminalType,
    all_rights,
    check_requested,
    check_selected,
    effective,
    rights_named,
)
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.tlv import build

AT = TerminalType.AUTHENTICATION_TERMINAL
TERMINAL = CHAT(AT, Role.TERMINAL, int(AuthenticationRight.CAN_ALLOWED | AuthenticationRight.READ_DG1))
ENCODED = bytes.fromhex("7f4c12060904007f00070301020253050000000110")

chats = st.sampled_from(TerminalType).flatmap(
    lambda kind: st.builds(CHAT, st.just(kind), st.sampled_from(Role), st.integers(0, all_rights(kind)))
)


def test_the_template_of_the_worked_example_is_built_and_read() -> None:
    assert TERMINAL.encode() == ENCODED
    assert CHAT.decode(ENCODED) == TERMINAL
    assert TERMINAL.names == ("CAN_ALLOWED", "READ_DG1")


@given(chats)
def test_every_template_comes_back(chat: CHAT) -> None:
    assert CHAT.decode(chat.encode()) == chat
    assert rights_named(chat.names, terminal_type=chat.terminal_type) & ~chat.rights == 0


@given(st.binary(max_size=30) | mutations(ENCODED))
def test_bytes_are_a_template_or_one_error(data: bytes) -> None:
    try:
        chat = CHAT.decode(data)
    except ChatError:
        return
    assert chat.terminal_type in TerminalType


@pytest.mark.parametrize(
    ("right", "bit"),
    [
        (AuthenticationRight.AGE_VERIFICATION, 0),
        (AuthenticationRight.COMMUNITY_ID_VERIFICATION, 1),
        (AuthenticationRight.RESTRICTED_IDENTIFICATION, 2),
        (AuthenticationRight.PRIVILEGED_TERMINAL, 3),
        (AuthenticationRight.CAN_ALLOWED, 4),
        (AuthenticationRight.PIN_MANAGEMENT, 5),
        (AuthenticationRight.READ_DG1, 8),
        (AuthenticationRight.READ_DG21, 28),
        (AuthenticationRight.READ_DG22, 29),
        (AuthenticationRight.WRITE_DG21, 33),
        (AuthenticationRight.WRITE_DG17, 37),
        (InspectionRight.READ_EID, 5),
        (SignatureRight.GENERATE_QUALIFIED_SIGNATURE, 1),
    ],
)
def test_rights_are_the_bits_of_the_standard(right: int, bit: int) -> None:
    assert right == 1 << bit


@pytest.mark.parametrize(
    ("kind", "role", "rights", "bits"),
    [
        (TerminalType.INSPECTION_SYSTEM, Role.CVCA, InspectionRight.READ_DG3 | InspectionRight.READ_DG4, "c3"),
        (TerminalType.SIGNATURE_TERMINAL, Role.DV_NON_OFFICIAL, SignatureRight.GENERATE_SIGNATURE, "41"),
        (AT, Role.DV_OFFICIAL, AuthenticationRight.WRITE_DG17, "a000000000"),
    ],
)
def test_the_role_stands_in_the_two_highest_bits(kind: TerminalType, role: Role, rights: int, bits: str) -> None:
    data = CHAT(kind, role, int(rights)).encode()
    assert data.endswith(bytes.fromhex(bits))
    assert CHAT.decode(data).role is role


def at(bits: bytes, *, kind: str = OID.ROLE_AT, tag: int = 0x7F4C) -> bytes:
    return build(tag, build(0x06, encode_oid(kind)), build(0x53, bits))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected one data object"),
        (at(bytes(5), tag=0x7F49), "expected 7F4C"),
        (at(bytes(4)), "expected 5 bytes of rights, found 4"),
        (at(bytes(5), kind=OID.ROLE_IS), "expected 1 bytes of rights, found 5"),
        (at(bytes(5), kind=OID.TA), "known terminal type"),
        (build(0x7F4C, build(0x53, bytes(5))), "expected 06 53"),
        (build(0x7F4C, build(0x06, b"\x80"), build(0x53, bytes(5))), "whole arcs"),
    ],
)
def test_what_is_no_template_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ChatError, match=reason) as refusal:
        CHAT.decode(data)
    assert refusal.value.code == "chat_invalid"


def test_every_truncation_is_refused() -> None:
    for data in truncations(ENCODED):
        with pytest.raises(ChatError):
            CHAT.decode(data)


@pytest.mark.parametrize("rights", [-1, 1 << 38])
def test_rights_beyond_the_template_are_refused(rights: int) -> None:
    with pytest.raises(ChatError, match="at most 38 bits"):
        CHAT(AT, Role.TERMINAL, rights)


def test_names_of_rights_are_read_in_any_case_and_unknown_ones_refused() -> None:
    rights = rights_named(["read_dg4", "CAN_ALLOWED"], terminal_type=AT)
    assert rights == AuthenticationRight.READ_DG4 | AuthenticationRight.CAN_ALLOWED
    with pytest.raises(ChatError, match="read_dg21"):
        rights_named(["read_dg23"], terminal_type=AT)
    with pytest.raises(ChatError, match="generate_signature, generate_qualified_signature"):
        rights_named(["read_dg4"], terminal_type=TerminalType.SIGNATURE_TERMINAL)


@given(st.lists(st.integers(0, all_rights(AT)), min_size=1, max_size=4))
def test_effective_rights_are_those_that_all_have(rights: list[int]) -> None:
    chain = [CHAT(AT, Role.DV_OFFICIAL, each) for each in rights[:-1]] + [CHAT(AT, Role.TERMINAL, rights[-1])]
    found = effective(*chain)
    assert found.role is Role.TERMINAL
    assert all(found.rights & ~each == 0 for each in rights)
    assert all(found.rights >> bit & 1 for bit in range(38) if all(each >> bit & 1 for each in rights))


def test_templates_of_two_types_have_no_rights_together() -> None:
    with pytest.raises(ChatError, match="one terminal type"):
        effective(CHAT(TerminalType.INSPECTION_SYSTEM, Role.CVCA, 3), TERMINAL)


def test_an_eservice_may_ask_for_what_its_certificate_allows() -> None:
    one, both = replace(TERMINAL, rights=1 << 4), TERMINAL
    assert check_requested(required=one, optional=both, allowed=both) == RequestedRights(1 << 4, 1 << 8)
    assert check_requested(required=both, optional=None, allowed=both) == RequestedRights(both.rights, 0)
    assert check_requested(required=None, optional=one, allowed=both) == RequestedRights(0, 1 << 4)
    assert check_requested(required=None, optional=None, allowed=both) == RequestedRights(0, both.rights)


@pytest.mark.parametrize("name", ["required", "optional"])
@pytest.mark.parametrize(
    "asked", [replace(TERMINAL, rights=1), CHAT(TerminalType.SIGNATURE_TERMINAL, Role.TERMINAL, 0)]
)
def test_an_eservice_may_not_ask_for_more(name: str, asked: CHAT) -> None:
    with pytest.raises(ChatError, match=f"{name} CHAT: expected no right beyond"):
        check_requested(
            required=asked if name == "required" else None,
            optional=asked if name == "optional" else None,
            allowed=TERMINAL,
        )


def test_a_user_may_take_away_optional_rights_only() -> None:
    requested = RequestedRights(required=0b01, optional=0b10)
    assert check_selected(0b01, requested=requested) == 0b01
    assert check_selected(0b11, requested=requested) == 0b11
    with pytest.raises(ChatError, match="all that are required"):
        check_selected(0b10, requested=requested)
    with pytest.raises(ChatError, match="none beyond"):
        check_selected(0b101, requested=requested)
