"""The parameters of a request, in order and with repetitions: faults and refusals need to see both."""

from urllib.parse import parse_qsl

from ...http.requests import Request
from .injection import Pairs


def query_pairs(request: Request) -> Pairs:
    """The query's parameters."""
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


async def form_pairs(request: Request) -> Pairs:
    """The body's parameters."""
    return decode_form(request.header(b"content-type"), await request.body())


def decode_form(content_type: str, body: bytes) -> Pairs:
    """The parameters of a form; none where the body is something else."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return []
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)


async def all_pairs(request: Request) -> Pairs:
    """The query's parameters for GET, the body's for POST."""
    return await form_pairs(request) if request.method == "POST" else query_pairs(request)
