"""What PACE's elliptic curve part costs one side, beside libcrypto called directly."""

import gc
from dataclasses import dataclass, field
from random import Random
from statistics import median
from time import process_time_ns

from useid_middleware.eac.curves import BRAINPOOL_P256R1, key_pair
from useid_middleware.eac.pace import map_generator

from .peers.libcrypto import Group
from .rows import Row, row


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds, and sides of PACE in a round."""

    rounds: int
    sides: int


FULL = Size(rounds=15, sides=20)
QUICK = Size(rounds=3, sides=3)


@dataclass(slots=True)
class Figures:
    """µs for each side, one figure a round."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)


def rows(size: Size) -> list[Row]:
    """Measure and compare: mapping key, mapped generator, agreement key, agreement."""
    curve = BRAINPOOL_P256R1
    group = Group()
    random = Random(1)  # The same numbers for both; nothing here is a secret.
    numbers = [random.randrange(2, curve.n - 1) for _ in range(4)]
    other = key_pair(numbers[3], generator=curve.generator).public
    nonce = random.randbytes(16)
    scalars = [group.number(number) for number in numbers]
    s, theirs = group.number(int.from_bytes(nonce, "big")), group.multiply(scalars[3], group.generator)
    figures = Figures()

    def ours() -> None:
        mapping = key_pair(numbers[0], generator=curve.generator)
        generator = map_generator(nonce, own=mapping, other=other)
        own = key_pair(numbers[1], generator=generator)
        own.agree(other)

    def peer() -> None:
        group.multiply(scalars[0], group.generator)
        shared = group.multiply(scalars[0], theirs)
        generator = group.add(group.multiply(s, group.generator), shared)
        group.multiply(scalars[1], generator)
        group.multiply(scalars[1], theirs)

    for number in range(size.rounds + 1):
        for work, found in ((ours, figures.ours), (peer, figures.peer)):
            gc.collect()
            started = process_time_ns()
            for _ in range(size.sides):
                work()
            if number:  # The first round warms up.
                found.append((process_time_ns() - started) / size.sides / 1000)
    return [
        row(
            "PACE, one side, elliptic curve part, CPU vs libcrypto",
            ours=median(figures.ours),
            peer=median(figures.peer),
            unit="µs",
            goal=2.5,
        )
    ]
