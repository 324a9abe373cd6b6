"""Elliptic curves: the standardized domain parameters of TR-03110-3 A.2.1.1, and arithmetic on their points.

PACE's generic mapping needs whole points k·P, and ``cryptography`` gives only their x-coordinates (ECDH). It does tell
k·G, though. So k·P comes from two of its ECDH calls with the same key, for P and P+G: the y-coordinate of k·P follows
from the x-coordinates of k·P and of its sum with k·G (after Okeya and Sakurai, CHES 2001, who take k and k+1, which
would be two keys to make and to check). One affine addition completes the mapping.

What is computed here in Python is not constant-time, and Python's integers cannot be: for emulation only.

Every :class:`Point` is on its curve, and infinity is not one: what leads there raises ``PointError``. All these curves
have cofactor 1, so a point on the curve is in the right group.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec

from .errors import PointError

#: How many random bytes beyond a curve's size make a scalar with no bias worth naming (FIPS 186-5 A.2.1).
EXTRA_RANDOM: Final = 8

_UNCOMPRESSED: Final = 0x04


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """y² = x³ + ax + b modulo p, with a generator of prime order n. ``parameter_id`` is the standardized one."""

    name: str
    parameter_id: int
    p: int
    a: int
    b: int
    n: int
    generator_x: int
    generator_y: int
    ec: ec.EllipticCurve

    @property
    def size(self) -> int:
        """Bytes of a coordinate."""
        return (self.p.bit_length() + 7) // 8

    @property
    def order_size(self) -> int:
        """Bytes of a scalar, and of each half of a plain signature."""
        return (self.n.bit_length() + 7) // 8

    @property
    def generator(self) -> "Point":
        """The base point G."""
        return Point(self, self.generator_x, self.generator_y)

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True)
class Point:
    """A point on ``curve``, in affine coordinates; ``PointError`` if it is not on it."""

    curve: Curve
    x: int
    y: int

    def __post_init__(self) -> None:
        curve, x, y = self.curve, self.x, self.y
        if not (0 <= x < curve.p and 0 <= y < curve.p):
            raise PointError(f"{curve.name}: expected coordinates below the field's prime")
        if (y * y - (x * x + curve.a) * x - curve.b) % curve.p:
            raise PointError(f"{curve.name}: expected a point on the curve")

    @classmethod
    def decode(cls, curve: Curve, data: bytes) -> Self:
        """A point from its uncompressed form 04 ‖ x ‖ y (TR-03111 §3.2.1), the only form TR-03110 uses."""
        if len(data) != 1 + 2 * curve.size or data[0] != _UNCOMPRESSED:
            raise PointError(f"{curve.name}: expected 04 and {2 * curve.size} bytes, found {len(data)} bytes in all")
        middle = 1 + curve.size
        return cls(curve, int.from_bytes(data[1:middle], "big"), int.from_bytes(data[middle:], "big"))

    def encode(self) -> bytes:
        """The uncompressed form 04 ‖ x ‖ y."""
        return bytes((_UNCOMPRESSED,)) + self.x_bytes + self.y.to_bytes(self.curve.size, "big")

    @property
    def x_bytes(self) -> bytes:
        """The x-coordinate, as long as the field: Comp() of TR-03110-3 A.2.2.3, and the secret of ECDH."""
        return self.x.to_bytes(self.curve.size, "big")

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The point as a key of ``cryptography``."""
        return ec.EllipticCurvePublicNumbers(self.x, self.y, self.curve.ec).public_key()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private scalar, kept out of ``repr``, and its public point."""

    private: int
    public: Point
    #: The scalar as a key of ``cryptography``, which is dear to make.
    key: ec.EllipticCurvePrivateKey | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"

    def multiply(self, point: Point) -> Point:
        """private·P; ``PointError`` if that is infinity."""
        return _multiply(self._key(point.curve), point)

    def agree(self, public: Point) -> bytes:
        """See :func:`agree`."""
        return self._key(public.curve).exchange(ec.ECDH(), public.public_key())

    def _key(self, curve: Curve) -> ec.EllipticCurvePrivateKey:
        return self.key if self.key is not None and curve is self.public.curve else private_key(curve, self.private)


def curve_by_id(parameter_id: int) -> Curve:
    """The curve of a standardized domain parameter (TR-03110-3 table 4); ``PointError`` if it is not supported."""
    curve = CURVES_BY_ID.get(parameter_id)
    if curve is None:
        raise PointError(f"expected domain parameters {' '.join(map(str, CURVES_BY_ID))}, found {parameter_id}")
    return curve


def scalar(curve: Curve, random: bytes) -> int:
    """A private scalar, 1 to n-1, from at least ``curve.order_size + EXTRA_RANDOM`` random bytes."""
    if len(random) < curve.order_size + EXTRA_RANDOM:
        raise PointError(f"{curve.name}: expected {curve.order_size + EXTRA_RANDOM} random bytes, found {len(random)}")
    return int.from_bytes(random, "big") % (curve.n - 1) + 1


def key_pair(private: int, *, generator: Point) -> KeyPair:
    """The key pair of a scalar over this generator: ``curve.generator``, or the one that PACE mapped to."""
    key = private_key(generator.curve, private)
    return KeyPair(private, _multiply(key, generator), key)


def private_key(curve: Curve, private: int) -> ec.EllipticCurvePrivateKey:
    """A scalar, 1 to n-1, as a key of ``cryptography``."""
    return ec.derive_private_key(_checked(curve, private), curve.ec)


def agree(private: int, public: Point) -> bytes:
    """ECKA (TR-03111 §4.3.1): the x-coordinate of private·public; ``PointError`` if the scalar is not 1 to n-1."""
    return private_key(public.curve, private).exchange(ec.ECDH(), public.public_key())


def multiply(k: int, point: Point) -> Point:
    """k·P for any integer k; ``PointError`` if that is infinity, which it is for multiples of n only."""
    curve = point.curve
    k %= curve.n
    if k == 0:
        raise PointError(f"{curve.name}: a multiple of the point is at infinity")
    return _multiply(private_key(curve, k), point)


def _multiply(key: ec.EllipticCurvePrivateKey, point: Point) -> Point:
    """k·P = R from Q = k·G and the x-coordinates of R and of R + Q = k·(P + G)."""
    curve, p = point.curve, point.curve.p
    numbers = key.public_key().public_numbers()
    xq, yq = numbers.x, numbers.y
    generator = curve.generator
    if point.x == generator.x:
        return Point(curve, xq, yq if point.y == generator.y else -yq % p)
    x = int.from_bytes(key.exchange(ec.ECDH(), point.public_key()), "big")
    x_sum = int.from_bytes(key.exchange(ec.ECDH(), add(point, generator).public_key()), "big")
    # The chord through R and Q has the slope m = (y - yq) / (x - xq), and m² = x_sum + x + xq; y² is the curve's, so
    # what remains is linear in y. yq is never 0: a point where it is has order 2, and n is an odd prime.
    chord = (x_sum + x + xq) * (x - xq) ** 2
    y = ((x * x + curve.a) * x + curve.b + yq * yq - chord) * pow(2 * yq, -1, p) % p
    return Point(curve, x, y)


def add(first: Point, second: Point) -> Point:
    """P + Q; ``PointError`` if that is infinity or the points are on different curves."""
    curve, p = first.curve, first.curve.p
    if second.curve is not curve:
        raise PointError(f"expected two points of one curve, found {curve.name} and {second.curve.name}")
    if first.x != second.x:
        slope = (second.y - first.y) * pow(second.x - first.x, -1, p)
    elif first.y == second.y:
        slope = (3 * first.x * first.x + curve.a) * pow(2 * first.y, -1, p)
    else:
        raise PointError(f"{curve.name}: the sum of two points is at infinity")
    x = (slope * slope - first.x - second.x) % p
    return Point(curve, x, (slope * (first.x - x) - first.y) % p)


def _checked(curve: Curve, private: int) -> int:
    if not 0 < private < curve.n:
        raise PointError(f"{curve.name}: expected a scalar from 1 to n-1")
    return private


def _number(digits: str) -> int:
    return int(digits, 16)


P224: Final = Curve(
    name="P-224",
    parameter_id=10,
    p=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000000000000000000000001,
    a=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFE,
    b=0xB4050A850C04B3ABF54132565044B0B7D7BFD8BA270B39432355FFB4,
    n=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D,
    generator_x=0xB70E0CBD6BB4BF7F321390B94A03C1D356C21122343280D6115C1D21,
    generator_y=0xBD376388B5F723FB4C22DFE6CD4375A05A07476444D5819985007E34,
    ec=ec.SECP224R1(),
)
P256: Final = Curve(
    name="P-256",
    parameter_id=12,
    p=0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    a=0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFC,
    b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    generator_x=0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    generator_y=0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ec=ec.SECP256R1(),
)
BRAINPOOL_P256R1: Final = Curve(
    name="brainpoolP256r1",
    parameter_id=13,
    p=0xA9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377,
    a=0x7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9,
    b=0x26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6,
    n=0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
    generator_x=0x8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262,
    generator_y=0x547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997,
    ec=ec.BrainpoolP256R1(),
)
P384: Final = Curve(
    name="P-384",
    parameter_id=15,
    p=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF,
    a=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFC,
    b=0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    n=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    generator_x=0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
    generator_y=0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
    ec=ec.SECP384R1(),
)
BRAINPOOL_P384R1: Final = Curve(
    name="brainpoolP384r1",
    parameter_id=16,
    p=0x8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B412B1DA197FB71123ACD3A729901D1A71874700133107EC53,
    a=0x7BC382C63D8C150C3C72080ACE05AFA0C2BEA28E4FB22787139165EFBA91F90F8AA5814A503AD4EB04A8C7DD22CE2826,
    b=0x4A8C7DD22CE28268B39B55416F0447C2FB77DE107DCD2A62E880EA53EEB62D57CB4390295DBC9943AB78696FA504C11,
    n=0x8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565,
    generator_x=0x1D1C64F068CF45FFA2A63A81B7C13F6B8847A3E77EF14FE3DB7FCAFE0CBD10E8E826E03436D646AAEF87B2E247D4AF1E,
    generator_y=0x8ABE1D7520F9C2A45CB1EB8E95CFD55262B70B29FEEC5864E19C054FF99129280E4646217791811142820341263C5315,
    ec=ec.BrainpoolP384R1(),
)
BRAINPOOL_P512R1: Final = Curve(
    name="brainpoolP512r1",
    parameter_id=17,
    p=_number(
        "AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA703308717D4D9B009BC66842AECDA12AE6A380E6"
        "2881FF2F2D82C68528AA6056583A48F3"
    ),
    a=_number(
        "7830A3318B603B89E2327145AC234CC594CBDD8D3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B5"
        "7F1117A72BF2C7B9E7C1AC4D77FC94CA"
    ),
    b=_number(
        "3DF91610A83441CAEA9863BC2DED5D5AA8253AA10A2EF1C98B9AC8B57F1117A72BF2C7B9E7C1AC4D77FC94CADC083E67"
        "984050B75EBAE5DD2809BD638016F723"
    ),
    n=_number(
        "AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA70330870553E5C414CA92619418661197FAC1047"
        "1DB1D381085DDADDB58796829CA90069"
    ),
    generator_x=_number(
        "81AEE4BDD82ED9645A21322E9C4C6A9385ED9F70B5D916C1B43B62EEF4D0098EFF3B1F78E2D0D48D50D1687B93B97D5F"
        "7C6D5047406A5E688B352209BCB9F822"
    ),
    generator_y=_number(
        "7DDE385D566332ECC0EABFA9CF7822FDF209F70024A57B1AA000C55B881F8111B2DCDE494A5F485E5BCA4BD88A2763AE"
        "D1CA2B2FA8F0540678CD1E0F3AD80892"
    ),
    ec=ec.BrainpoolP512R1(),
)
P521: Final = Curve(
    name="P-521",
    parameter_id=18,
    p=_number(
        "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    ),
    a=_number(
        "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC"
    ),
    b=_number(
        "51953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF"
        "073573DF883D2C34F1EF451FD46B503F00"
    ),
    n=_number(
        "1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A"
        "5D03BB5C9B8899C47AEBB6FB71E91386409"
    ),
    generator_x=_number(
        "C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8"
        "DE3348B3C1856A429BF97E7E31C2E5BD66"
    ),
    generator_y=_number(
        "11839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0"
        "761353C7086A272C24088BE94769FD16650"
    ),
    ec=ec.SECP521R1(),
)

CURVES: Final = (P224, P256, BRAINPOOL_P256R1, P384, BRAINPOOL_P384R1, BRAINPOOL_P512R1, P521)
CURVES_BY_ID: Final = {curve.parameter_id: curve for curve in CURVES}
