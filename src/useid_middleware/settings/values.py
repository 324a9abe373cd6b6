"""The kinds of values that settings have, each with its check and its remedy."""

import re
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NETLOC = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?").fullmatch

Seconds = Annotated[float, Field(gt=0, le=400 * 86400)]


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def check_origin(origin: str) -> str:
    """A web origin (RFC 6454) in its one spelling: scheme, lower-case host, port unless default; no path."""
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not origin.isascii():
        raise ValueError("must be an origin such as https://app.example")
    if not _NETLOC(parts.netloc):
        # Origins stand in content security policies, where a space or a semicolon would say something else.
        raise ValueError(
            "must be an origin whose host has letters, digits, dots and hyphens alone, such as https://app.example"
        )
    if parts.path or parts.query or parts.fragment or origin != origin.lower():
        raise ValueError("must be an origin in lower case, without path or trailing slash, such as https://app.example")
    if parts.port == {"http": 80, "https": 443}[parts.scheme] or parts.netloc.endswith(":"):
        raise ValueError("must not name the scheme's default port")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https; http is accepted for localhost alone")
    return origin


def check_prefix(prefix: str) -> str:
    if not prefix.startswith("/") or prefix.endswith("/") or "//" in prefix or not prefix.replace("/", "").isalnum():
        raise ValueError("must be a path such as /auth: a leading slash, letters and digits, no trailing slash")
    return prefix


def check_scheme(scheme: str) -> str:
    if not (
        scheme[:1].isalpha()
        and scheme.isascii()
        and scheme.islower()
        and scheme.replace("-", "").replace(".", "").isalnum()
    ):
        raise ValueError("must be a URI scheme in lower case, such as tana")
    if scheme in ("http", "https", "javascript", "data", "file", "blob", "about"):
        raise ValueError("must be a scheme of your phone app; for an https link set qr.universal_link")
    return scheme


def check_universal_link(link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be an https URL without query and fragment, such as https://app.example/phone")
    return link


def check_url(schemes: tuple[str, ...], remedy: str) -> Any:
    def check(url: str) -> str:
        if not url.startswith(schemes):
            raise ValueError(f"must be {remedy}")
        return url

    return AfterValidator(check)


def _check_path(path: str) -> str:
    segments = path.split("/")
    if path and (segments[0] or not all(segments[1:]) or not all(_is_segment(segment) for segment in segments[1:])):
        raise ValueError("must be a path such as /callback, of letters, digits, hyphens and underscores, or empty")
    return path


def _is_segment(segment: str) -> bool:
    # A dot parts a name from its suffix; alone it would mean a folder.
    return segment.isascii() and all(part.replace("-", "").replace("_", "").isalnum() for part in segment.split("."))


def _check_site_path(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or not path.isascii() or not path.isprintable():
        raise ValueError("must be a path of this site, such as /")
    if " " in path or "\\" in path:
        raise ValueError("must be a path of this site, such as /")
    return path


def _check_page_path(path: str) -> str:
    if "?" in path or "#" in path or "%" in path:
        # It is compared with the decoded path alone, so that it would never match and protect nothing.
        raise ValueError("must be a path of this site without query and percent signs, such as /orders")
    return _check_site_path(path)


def check_issuer(issuer: str) -> str:
    """An issuer identifier (OpenID Connect Discovery 1.0 §3): https (http on this machine), no query, no fragment."""
    parts = urlsplit(issuer)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not issuer.isascii():
        raise ValueError("must be an issuer identifier such as https://sso.example/realms/staff")
    if parts.query or parts.fragment or issuer.endswith(("?", "#")):
        raise ValueError("must be an issuer identifier without query and fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https; http is accepted for this machine alone")
    return issuer


Origin = Annotated[str, AfterValidator(check_origin)]
#: A path below the prefix; empty for none.
Path = Annotated[str, AfterValidator(_check_path)]
#: A path of the host app, with a query perhaps.
SitePath = Annotated[str, AfterValidator(_check_site_path)]
#: Pages of the host app: this path and all below it.
PagePath = Annotated[str, AfterValidator(_check_page_path)]
Issuer = Annotated[str, AfterValidator(check_issuer)]


class Group(BaseModel):
    """Base of the groups: frozen, and a misspelt member is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
