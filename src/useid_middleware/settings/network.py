"""What stands between us and the browsers: reverse proxies, and what their headers are believed for."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator

from .values import Group

#: In ``trusted_proxies``: whoever speaks over a Unix socket.
UNIX_SOCKET = "unix"


def _check_proxy(proxy: str) -> str:
    if proxy == UNIX_SOCKET:
        return proxy
    try:
        network = ip_network(proxy)
    except ValueError:
        raise ValueError("must be addresses or networks of proxies such as 10.0.0.5 or 10.1.0.0/24, or unix") from None
    if network.prefixlen == 0:
        raise ValueError("must not be everybody: a client's own headers would be believed; name the proxies' network")
    return proxy


class NetworkSettings(Group):
    """Reverse proxies in front."""

    #: Addresses and networks of proxies, and of nothing else; ``unix``: whoever speaks over a Unix socket.
    trusted_proxies: tuple[Annotated[str, AfterValidator(_check_proxy)], ...] = ()
    #: Which headers they write: ``X-Forwarded-…``, or ``Forwarded`` (RFC 7239). The other kind is not looked at.
    forwarded_by: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    #: What they say of a request. A part that they do not overwrite is whatever the client wrote: leave that out.
    forwarded: tuple[Literal["for", "proto", "host", "prefix"], ...] = ("for", "proto")
