"""Points: published vectors, an independent computation, and every way not to be a point."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import WorkedExample
from useid_middleware.eac.curves import (
    BRAINPOOL_P256R1,
    BRAINPOOL_P384R1,
    BRAINPOOL_P512R1,
    CURVES,
    P256,
    Curve,
    Point,
    add,
    agree,
    curve_by_id,
    key_pair,
    multiply,
    private_key,
    scalar,
)
from useid_middleware.eac.errors import PointError
from useid_middleware.eac.tlv import parse

Affine = tuple[int, int] | None


def affine_sum(curve: Curve, one: Affine, two: Affine) -> Affine:
    """The textbook's group law, with ``None`` for infinity."""
    if one is None or two is None:
        return one or two
    (x1, y1), (x2, y2), p = one, two, curve.p
    if x1 == x2 and (y1 + y2) % p == 0:
        return None
    slope = (3 * x1 * x1 + curve.a) * pow(2 * y1, -1, p) if one == two else (y2 - y1) * pow(x2 - x1, -1, p)
    x3 = (slope * slope - x1 - x2) % p
    return x3, (slope * (x1 - x3) - y1) % p


def affine_multiple(curve: Curve, k: int, point: Affine) -> Affine:
    """Double and add: nothing in common with the x-coordinates of ``cryptography``."""
    total: Affine = None
    while k:
        if k & 1:
            total = affine_sum(curve, total, point)
        point = affine_sum(curve, point, point)
        k >>= 1
    return total


def flat(point: Point) -> Affine:
    return point.x, point.y


curves = pytest.mark.parametrize("curve", CURVES, ids=repr)


@curves
def test_two_hundred_multiples_agree_with_an_independent_computation(curve: Curve) -> None:
    draw = random.Random(curve.name)
    for _ in range(200 // len(CURVES) + 1):
        k, m = draw.randrange(1, curve.n), draw.randrange(1, curve.n)
        point = multiply(m, curve.generator)
        assert flat(multiply(k, point)) == affine_multiple(curve, k, flat(point))


@curves
def test_small_and_large_multiples_agree_with_an_independent_computation(curve: Curve) -> None:
    n = curve.n
    for point in (curve.generator, multiply(7, curve.generator)):
        for k in (1, 2, 3, n - 3, n - 2, n - 1, n + 1, 2 * n - 1, -1, -2):
            assert flat(multiply(k, point)) == affine_multiple(curve, k % n, flat(point))


@curves
def test_multiples_of_the_order_are_infinity(curve: Curve) -> None:
    assert affine_multiple(curve, curve.n, flat(curve.generator)) is None
    for point in (curve.generator, multiply(7, curve.generator)):
        for k in (0, curve.n, -curve.n, 2 * curve.n):
            with pytest.raises(PointError, match="infinity"):
                multiply(k, point)


@curves
def test_sums_agree_with_an_independent_computation(curve: Curve) -> None:
    one, two = multiply(5, curve.generator), multiply(7, curve.generator)
    assert flat(add(one, two)) == affine_multiple(curve, 12, flat(curve.generator))
    assert add(one, one) == multiply(10, curve.generator)
    with pytest.raises(PointError, match="infinity"):
        add(one, multiply(-5, curve.generator))


@curves
def test_the_parameters_are_those_that_cryptography_has(curve: Curve) -> None:
    base = private_key(curve, 1).public_key()
    assert Point.decode(curve, curve.generator.encode()).public_key() == base
    assert base.public_numbers().x == curve.generator.x
    assert curve.ec.key_size == curve.n.bit_length()
    assert curve_by_id(curve.parameter_id) is curve


def test_the_parameters_of_brainpoolp512r1_are_those_of_the_published_cvca(example: WorkedExample) -> None:
    key = parse(example["cvca_cert"]).child(0x7F4E).child(0x7F49)
    p, a, b, g, n = (key.child(tag).value for tag in (0x81, 0x82, 0x83, 0x84, 0x85))
    curve = BRAINPOOL_P512R1
    assert [int.from_bytes(value, "big") for value in (p, a, b, n)] == [curve.p, curve.a, curve.b, curve.n]
    assert Point.decode(curve, g) == curve.generator


@pytest.mark.parametrize(
    ("curve", "a", "b", "public_x", "secret"),
    [
        (
            BRAINPOOL_P256R1,
            0x81DB1EE100150FF2EA338D708271BE38300CB54241D79950F77B063039804F1D,
            0x55E40BC41E37E3E2AD25C3C6654511FFA8474A91A0032087593852D3E7D76BD3,
            0x44106E913F92BC02A1705D9953A8414DB95E1AAA49E81D9E85F929A8E3100BE5,
            "89AFC39D41D3B327814B80940B042590F96556EC91E6AE7939BCE31F3A18BF2B",
        ),
        (
            BRAINPOOL_P384R1,
            0x1E20F5E048A5886F1F157C74E91BDE2B98C8B52D58E5003D57053FC4B0BD65D6F15EB5D1EE1610DF870795143627D042,
            0x032640BC6003C59260F7250C3DB58CE647F98E1260ACCE4ACDA3DD869F74E01F8BA5E0324309DB6A9831497ABAC96670,
            0x68B665DD91C195800650CDD363C625F4E742E8134667B767B1B476793588F885AB698C852D4A6E77A252D6380FCAF068,
            "0BD9D3A7EA0B3D519D09D8E48D0785FB744A6B355E6304BC51C229FBBCE239BBADF6403715C35D4FB2A5444F575D4F42",
        ),
    ],
    ids=["A.1", "A.2"],
)
def test_agreement_is_that_of_rfc_7027(curve: Curve, a: int, b: int, public_x: int, secret: str) -> None:
    one, two = key_pair(a, generator=curve.generator), key_pair(b, generator=curve.generator)
    assert one.public.x == public_x
    assert agree(a, two.public) == agree(b, one.public) == bytes.fromhex(secret)


@given(st.binary(max_size=70) | st.binary(min_size=64, max_size=64).map(lambda rest: b"\x04" + rest))
def test_bytes_are_a_point_or_one_error(data: bytes) -> None:
    try:
        point = Point.decode(P256, data)
    except PointError:
        return
    assert point.encode() == data


@curves
def test_points_come_back_from_their_uncompressed_form(curve: Curve) -> None:
    point = multiply(7, curve.generator)
    assert len(point.encode()) == 1 + 2 * curve.size
    assert Point.decode(curve, point.encode()) == point


def test_what_is_no_point_of_the_curve_is_refused() -> None:
    good = P256.generator.encode()
    compressed = b"\x02" + good[1:33]
    infinity = b"\x00"
    for data in (b"", infinity, compressed, good[:-1], good + b"\0", b"\x06" + good[1:], b"\x00" + good[1:]):
        with pytest.raises(PointError, match="expected 04 and 64 bytes"):
            Point.decode(P256, data)
    off = good[:-1] + bytes((good[-1] ^ 1,))
    for data in (
        off,
        b"\x04" + bytes(64),
        P256.generator.encode()[:1] + multiply(2, BRAINPOOL_P256R1.generator).encode()[1:],
    ):
        with pytest.raises(PointError, match="on the curve"):
            Point.decode(P256, data)
    above = P256.generator.x, P256.generator.y + P256.p
    for x, y in (above, (-1, 0), (P256.p, 0), (0, -1)):
        with pytest.raises(PointError, match="below the field's prime"):
            Point(P256, x, y)


def test_points_of_two_curves_do_not_add_up() -> None:
    with pytest.raises(PointError, match="one curve"):
        add(P256.generator, BRAINPOOL_P256R1.generator)


def test_scalars_outside_the_group_agree_on_nothing() -> None:
    for private in (0, -1, P256.n, P256.n + 1):
        with pytest.raises(PointError, match="from 1 to n-1"):
            agree(private, P256.generator)
    with pytest.raises(PointError, match="from 1 to n-1"):
        key_pair(0, generator=P256.generator)


def test_random_bytes_make_a_scalar_of_the_group() -> None:
    assert scalar(P256, bytes(40)) == 1
    assert scalar(P256, b"\xff" * 40) == int.from_bytes(b"\xff" * 40, "big") % (P256.n - 1) + 1
    assert 0 < scalar(P256, (P256.n - 2).to_bytes(40, "big")) < P256.n
    with pytest.raises(PointError, match="40 random bytes, found 39"):
        scalar(P256, bytes(39))


def test_a_key_pair_does_not_show_its_scalar() -> None:
    pair = key_pair(987654321, generator=P256.generator)
    assert "987654321" not in repr(pair)
    assert "P-256" in repr(pair)


def test_keys_for_cryptography_sign_and_verify() -> None:
    pair = key_pair(7, generator=BRAINPOOL_P256R1.generator)
    signature = private_key(BRAINPOOL_P256R1, 7).sign(b"data", ec.ECDSA(SHA256()))
    pair.public.public_key().verify(signature, b"data", ec.ECDSA(SHA256()))


def test_domain_parameters_that_cryptography_lacks_are_refused() -> None:
    # 8 is P-192, 9, 11 and 14 are brainpoolP192r1, P224r1 and P320r1, 0 is a group of MODP.
    for parameter_id in (0, 8, 9, 11, 14, 19, 31, 1000):
        with pytest.raises(PointError, match=f"found {parameter_id}"):
            curve_by_id(parameter_id)


def test_sizes_are_those_of_the_field_and_of_the_order() -> None:
    assert [(curve.size, curve.order_size) for curve in CURVES] == [
        (28, 28),
        (32, 32),
        (32, 32),
        (48, 48),
        (48, 48),
        (64, 64),
        (66, 66),
    ]
