"""What the tests of EAC share: the BSI's worked example, and recipes for bytes that are broken in some way."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st


@dataclass(frozen=True)
class WorkedExample:
    """The worked example, by the names it has in the file; all values are bytes."""

    values: dict[str, bytes]

    def __getitem__(self, name: str) -> bytes:
        return self.values[name]

    def number(self, name: str) -> int:
        """A scalar."""
        return int.from_bytes(self.values[name], "big")


@pytest.fixture(scope="session")
def example(vectors: Path) -> WorkedExample:
    """The EAC worked example of the published vectors."""
    content = json.loads((vectors / "eac_worked_example.json").read_text())
    texts = ("source", "password")
    values = {name: bytes.fromhex(value) for name, value in content.items() if name not in texts}
    return WorkedExample(values | {"password": content["password"].encode("ascii")})


def truncations(data: bytes) -> Iterator[bytes]:
    """Every true beginning of ``data``."""
    return (data[:end] for end in range(len(data)))


def mutations(*valid: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that differ from a valid structure in a few places, so that a parser gets far into them."""

    @st.composite
    def mutate(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(valid)))
        for _ in range(draw(st.integers(1, 3))):
            start = draw(st.integers(0, len(data)))
            end = start + draw(st.integers(0, 2))
            data[start:end] = draw(st.binary(max_size=2))
        return bytes(data)

    return mutate()
