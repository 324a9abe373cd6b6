"""The call of whoever watches: the metrics, where they are mounted."""

from dataclasses import replace
from typing import Final

from ..metrics.series import CONTENT_TYPE
from .operations import By, Group, Media, Operation

_OPERATION: Final = Operation(
    summary="The numbers of this moment, for Prometheus. To whoever brings no token, there is no such address.",
    by=By.METRICS,
    answers={200: Media(CONTENT_TYPE.decode())},
    errors="not_found",
    never="rate_limited record_unreadable",
)
_WITHOUT_TOKEN: Final = replace(
    _OPERATION,
    summary="The numbers of this moment, for Prometheus on this machine. To everybody else, there is no such address.",
    by=By.ANYONE,
)

GROUP: Final = Group("metrics", "What an operator watches.", {"GET /metrics": _OPERATION})
#: Where no token is set.
GROUP_FOR_THIS_MACHINE: Final = replace(GROUP, operations={"GET /metrics": _WITHOUT_TOKEN})
