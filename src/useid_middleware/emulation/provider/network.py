"""The provider's own requests: logout tokens, and documents that clients publish."""

from collections.abc import Mapping
from typing import Final

import httpx2

from .refusals import OAuthError

#: Seconds for one request.
TIMEOUT: Final = 10.0
#: Bytes of a document that are read at most.
MAX_DOCUMENT: Final = 64 * 1024


async def post_form(url: str, form: Mapping[str, str]) -> int:
    """Send ``form``; the status of the answer, 0 where there was none."""
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            return (await client.post(url, data=dict(form))).status_code
    except httpx2.HTTPError:
        return 0


async def fetch_document(url: str) -> bytes:
    """The document at ``url``; ``invalid_request`` where it cannot be had."""
    document = bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=TIMEOUT, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            async for chunk in response.aiter_bytes():
                document += chunk
                if len(document) > MAX_DOCUMENT:
                    raise OAuthError("invalid_request", f"the client's document: expected at most {MAX_DOCUMENT} bytes")
            if response.status_code == 200:
                return bytes(document)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        pass
    raise OAuthError("invalid_request", "the client's document cannot be fetched")
