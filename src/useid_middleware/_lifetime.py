"""How long what is kept lives, by a clock that may be set meanwhile."""

from typing import Final

#: So far the clocks of several machines may differ, and a clock may be set back (s).
CLOCK_SLACK: Final = 60.0


def is_past(*, created_at: float, deadline: float, now: float) -> bool:
    """Whether the time of something is over: at its deadline, and where it would begin in the future.

    A clock that is set back would let everything live longer by as much; what was begun while it was far ahead, for
    years. Such things end instead.
    """
    return now >= deadline or now < created_at - CLOCK_SLACK
