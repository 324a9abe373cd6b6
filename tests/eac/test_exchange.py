"""Exchanges: a dialogue runs to its end against whatever transmits, and ends cleanly when something fails."""

import pytest

from useid_middleware.eac.apdu import Command, Ins, Response, StatusWord
from useid_middleware.eac.errors import APDUError, StatusWordError
from useid_middleware.eac.exchange import Exchange, expect, expect_ok, run


def read_twice(closed: list[bool]) -> Exchange[bytes]:
    try:
        first = expect_ok("first", (yield Command(Ins.READ_BINARY, 0, 0, ne=256)))
        second = expect("second", (yield Command(Ins.READ_BINARY, 0, 1, ne=256)), accepted=(0x9000, 0x6282))
        return first + second
    finally:
        closed.append(True)


def test_an_exchange_returns_what_it_learned() -> None:
    sent: list[bytes] = []

    def transmit(apdu: bytes) -> bytes:
        sent.append(apdu)
        return bytes((len(sent), 0x90, 0x00)) if len(sent) == 1 else bytes.fromhex("026282")

    closed: list[bool] = []
    assert run(read_twice(closed), transmit) == b"\x01\x02"
    assert sent == [bytes.fromhex("00B0000000"), bytes.fromhex("00B0000100")]
    assert closed == [True]


def test_a_refusal_names_the_step_and_the_status_word() -> None:
    with pytest.raises(StatusWordError) as caught:
        run(read_twice([]), lambda _: bytes.fromhex("6982"))
    assert caught.value.status_word == StatusWord.SECURITY_STATUS_NOT_SATISFIED
    assert caught.value.code == "status_word"
    assert caught.value.details == {"statusWord": "6982"}
    assert caught.value.message == "first: expected 9000, found 6982 (security status not satisfied)"


def test_an_answer_that_is_no_apdu_ends_the_exchange() -> None:
    closed: list[bool] = []
    with pytest.raises(APDUError):
        run(read_twice(closed), lambda _: b"")
    assert closed == [True]


def test_what_the_transport_raises_comes_through_and_ends_the_exchange() -> None:
    closed: list[bool] = []

    def gone(_: bytes) -> bytes:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        run(read_twice(closed), gone)
    assert closed == [True]


def test_several_status_words_can_be_accepted() -> None:
    assert expect("step", Response(b"a", 0x6282), accepted=(0x9000, 0x6282)) == b"a"
    with pytest.raises(StatusWordError, match="expected 9000 or 6282, found 6A80"):
        expect("step", Response(b"a", 0x6A80), accepted=(0x9000, 0x6282))
