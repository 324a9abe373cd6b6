"""What must come of every step of every way to log in, in plain Python: who may do what, when, and who is logged in.

It knows nothing of the implementation. Each step says what the caller must be told, and changes what there is.
"""

from dataclasses import dataclass

from tests.stateful.model.card import ByCard


@dataclass
class Model(ByCard):
    """All ways to log in, over the same sessions."""
