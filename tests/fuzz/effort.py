"""How hard property tests try: the same few examples in each run of the tests, many more and new ones in ``make fuzz``.

``FUZZ_TIMES=50`` in the environment means so many times the examples, drawn by chance.
"""

import os
from typing import Final

from hypothesis import HealthCheck, settings

#: ``0``: a run of the tests.
TIMES: Final = int(os.environ.get("FUZZ_TIMES", "0"))


def effort(examples: int, **more: int) -> settings:
    """The settings of a test that tries so many examples."""
    return settings(
        max_examples=examples * max(1, TIMES),
        derandomize=not TIMES,
        deadline=None,
        # What is drawn here is whole requests and whole logins; on a busy machine that is slow for Hypothesis' taste.
        suppress_health_check=list(HealthCheck),
        **more,  # type: ignore[arg-type]
    )
