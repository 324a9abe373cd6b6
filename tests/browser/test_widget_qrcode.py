"""Our QR encoder against segno's."""

import random
import string
from importlib import import_module
from typing import Any

import pytest
import segno
from playwright.sync_api import Page

from tests.browser.wire import Wire

#: segno's inner parts carry no types.
consts: Any = import_module("segno.consts")
encoder: Any = import_module("segno.encoder")

#: The most bytes that versions 1 to 10 hold at level M, and 11 to 20 at level L (ISO/IEC 18004, table 7).
CAPACITIES = (14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 321, 367, 425, 458, 520, 586, 644, 718, 792, 858)
_ENCODE = """async ([text, mask]) => {
  const { encode } = await import("/auth/widget/qrcode.js");
  const matrix = encode(text, mask === null ? {} : { mask });
  const line = (y) => Array.from({ length: matrix.size }, (_, x) => Number(matrix.get(x, y)));
  return { version: matrix.version, mask: matrix.mask, rows: Array.from({ length: matrix.size }, (_, y) => line(y)) };
}"""


@pytest.fixture
def code(page: Page, wire: Wire) -> Page:
    page.goto(wire.url + "/done")
    return page


def text_of(length: int) -> str:
    chance = random.Random(length)
    return "".join(chance.choices(string.ascii_letters + string.digits + "-_?&=:/%.", k=length))


def ours(page: Page, text: str, mask: int | None) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(_ENCODE, [text, mask])
    return found


def reference(text: str, version: int, mask: int) -> list[list[int]]:
    """The symbol, put together from segno's parts.

    `segno.make` adds a codeword of zeros behind a terminator that ends on a codeword boundary, as it always does in
    byte mode; readers stop before it, and the standard (7.4.10) has none. So its order of steps stands here, without
    that one.
    """
    level = consts.ERROR_LEVEL_M if version <= 10 else consts.ERROR_LEVEL_L
    bits = encoder.Buffer()
    for segment in encoder.prepare_data(text.encode(), consts.MODE_BYTE, None):
        encoder.write_segment(bits, segment, None, encoder.version_range(version))
    capacity = consts.SYMBOL_CAPACITY[version][level]
    encoder.write_terminator(bits, capacity, None, len(bits))
    encoder.write_pad_codewords(bits, version, capacity, len(bits))
    size = encoder.calc_matrix_size(version)
    matrix = encoder.make_matrix(size, size)
    encoder.add_finder_patterns(matrix, size, size)
    encoder.add_alignment_patterns(matrix, size, size)
    encoder.add_codewords(matrix, encoder.make_final_message(version, level, bits), version)
    _, matrix = encoder.find_and_apply_best_mask(matrix, size, size, mask)
    encoder.add_format_info(matrix, version, level, mask)
    encoder.add_version_info(matrix, version)
    return [list(row) for row in matrix]


def test_texts_of_every_length_become_the_symbol_of_the_standard(code: Page) -> None:
    for length in (*range(1, 214), *range(214, 859, 7)):
        text = text_of(length)
        found = ours(code, text, length % 8)
        assert found["version"] == next(v for v, most in enumerate(CAPACITIES, 1) if length <= most)
        assert found["rows"] == reference(text, found["version"], length % 8), f"{length} bytes"


@pytest.mark.parametrize("version", range(1, 21))
def test_a_full_symbol_is_segno_s_own_for_every_mask(code: Page, version: int) -> None:
    text = text_of(CAPACITIES[version - 1])
    level = "m" if version <= 10 else "l"
    for mask in range(8):
        symbol = segno.make(text, version=version, error=level, mask=mask, mode="byte", boost_error=False)
        assert ours(code, text, mask)["rows"] == [list(row) for row in symbol.matrix]


def test_the_mask_of_our_choice_is_one_of_the_eight(code: Page) -> None:
    chosen = set()
    for length in range(20, 214, 8):
        text = text_of(length)
        found = ours(code, text, None)
        assert found["rows"] == reference(text, found["version"], found["mask"])
        chosen.add(found["mask"])
    assert len(chosen) > 3


def test_text_beyond_ascii_is_utf_8(code: Page) -> None:
    assert ours(code, "Zürich", 3)["rows"] == reference("Zürich", 1, 3)


def test_more_than_a_version_20_symbol_holds_is_refused(code: Page) -> None:
    message = code.evaluate(
        """() => import("/auth/widget/qrcode.js").then(({ encode }) => {
          try { return String(encode("x".repeat(859)).version); } catch (error) { return `${error}`; }
        })"""
    )
    assert message == "RangeError: a QR code of version 20-L holds 858 bytes, not 859"
