"""From what a person types to their provider (WebFinger, RFC 7033; OpenID Connect Discovery 1.0 §2)."""

import re
from typing import Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ...errors import ProviderError, RequestError
from ...settings import is_loopback
from .metadata import is_address
from .strict_json import MAX_ANSWER, JSONRefused, read_object

#: The relation of an issuer (Discovery 1.0 §2).
ISSUER: Final = "http://openid.net/specs/connect/1.0/issuer"
MAX_IDENTIFIER: Final = 300
_MAX_LINKS: Final = 100

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://").match
#: A name or address with a port perhaps; names of other scripts come in their ASCII form.
_HOST: Final = re.compile(
    r"(?:(?=.{1,253}(?::|$))[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\.?"
    r"|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
).fullmatch
_PORT: Final = re.compile(r":[0-9]+$")
#: What may stand unescaped in the first part of an acct URI (RFC 7565 §7), and the percent sign of what is escaped.
_ACCOUNT_SAFE: Final = "!$&'()*+,;=-._~%"


def normalise(identifier: str) -> tuple[str, str]:
    """Resource and host of an identifier (Discovery 1.0 §2.1), or ``identifier_invalid``.

    ``joe@example.com`` is the account ``acct:joe@example.com`` at ``example.com``; everything else is an https address.
    The host has its port, if it is not the default one. XRIs are none of ours (§2.1.1).
    """
    identifier = identifier.strip()
    if not 0 < len(identifier) <= MAX_IDENTIFIER or not identifier.isprintable() or " " in identifier:
        raise _invalid()
    if identifier[0] in "=@!+$(":
        raise _invalid()
    if identifier[:5].lower() == "acct:":
        return _account(identifier[5:])
    if _SCHEME(identifier):
        return _address(identifier)
    user, _, host = identifier.rpartition("@")
    if user and not any(each in host for each in "/:?#"):
        if ":" in user:  # Of another scheme, such as mailto.
            raise _invalid()
        return _account(identifier)
    return _address(f"https://{identifier}")


def webfinger_url(resource: str, host: str) -> str:
    """Where to ask for the issuer of a resource (RFC 7033 §4); by https, or http on this machine."""
    scheme = "http" if is_loopback(_PORT.sub("", host)) and not resource.startswith("https:") else "https"
    return f"{scheme}://{host}/.well-known/webfinger?" + urlencode(
        {"resource": resource, "rel": ISSUER}, quote_via=quote
    )


def issuer_of(body: bytes, *, expected_resource: str) -> str:
    """The issuer that an answer (RFC 7033 §4.4) names for the resource, or ``webfinger_invalid``.

    The answer is about the resource, by ``subject`` or ``aliases`` where it has them, and names one issuer. Whether
    that is one to believe is for the caller to say, who knows the configured ones.
    """
    try:
        answer = read_object(body) if len(body) <= MAX_ANSWER else None
    except JSONRefused:
        answer = None
    if answer is None:
        raise _refused("document", f"one JSON object of at most {MAX_ANSWER} bytes")
    aliases = answer.get("aliases", [])
    if not isinstance(aliases, list):
        raise _refused("aliases", "a list")
    if "subject" in answer and answer["subject"] != expected_resource and expected_resource not in aliases:
        raise _refused("subject", "the resource that was asked for")
    links = answer.get("links")
    if not isinstance(links, list) or len(links) > _MAX_LINKS or not all(isinstance(link, dict) for link in links):
        raise _refused("links", f"a list of at most {_MAX_LINKS} objects")
    found = {_issuer(link.get("href")) for link in links if link.get("rel") == ISSUER}
    if len(found) != 1:
        raise _refused("links", "one issuer")
    return found.pop()


def _account(account: str) -> tuple[str, str]:
    user, _, host = account.rpartition("@")
    host = _checked_host(host)
    if not user or _PORT.search(host):
        raise _invalid()
    return f"acct:{quote(user, safe=_ACCOUNT_SAFE)}@{host}", host


def _address(identifier: str) -> tuple[str, str]:
    """A URL: its scheme and host in lower case, a path at least, no fragment (Discovery 1.0 §2.1.2)."""
    try:
        parts = urlsplit(identifier)
        port = parts.port
    except ValueError:
        raise _invalid() from None
    if parts.scheme not in ("https", "http") or not identifier.isascii() or "\\" in identifier or port == 0:
        raise _invalid()
    user, _, authority = parts.netloc.rpartition("@")
    if ":" in user:
        raise _invalid()
    host = _checked_host(authority.lower().removesuffix(":443" if parts.scheme == "https" else ":80"))
    netloc = f"{user}@{host}" if user else host
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, "")), host


def _checked_host(host: str) -> str:
    """In ASCII and lower case: it is going to be called."""
    try:
        host = host.lower() if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _invalid() from None
    if not _HOST(host):
        raise _invalid()
    return host


def _issuer(value: object) -> str:
    """An issuer identifier (Discovery 1.0 §3)."""
    if not is_address(value) or "?" in value:
        raise _refused("href", "an issuer identifier: https, without query and fragment")
    return value


def _invalid() -> RequestError:
    return RequestError("identifier_invalid", "identifier: expected an address such as joe@example.com or example.com")


def _refused(member: str, expected: str) -> ProviderError:
    return ProviderError("webfinger_invalid", f"webfinger: {member}: expected {expected}", details={"member": member})
