"""The test people, and what the provider says of them (OpenID Connect Core 1.0 §5)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Everybody's password. It is shown on the login page.
PASSWORD: Final = "test"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can log in. An empty member is a claim that the provider does not know."""

    subject: str
    username: str
    name: str
    email: str = ""
    email_verified: bool = False
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    given_name: str = ""
    family_name: str = ""
    locale: str = ""
    phone_number: str = ""
    address: str = ""

    def claims(self) -> dict[str, Any]:
        """All claims."""
        claims: dict[str, Any] = {
            "sub": self.subject,
            "preferred_username": self.username,
            "name": self.name,
            "given_name": self.given_name,
            "family_name": self.family_name,
            "locale": self.locale,
            "phone_number": self.phone_number,
            "groups": list(self.groups),
            "roles": list(self.roles),
        }
        claims = {name: value for name, value in claims.items() if value not in ("",)}
        if self.email:
            claims |= {"email": self.email, "email_verified": self.email_verified}
        if self.phone_number:
            claims["phone_number_verified"] = False
        if self.address:
            claims["address"] = {"formatted": self.address}
        return claims


#: Which claims a scope stands for: §5.4, and two scopes of our own.
SCOPE_CLAIMS: Final[Mapping[str, tuple[str, ...]]] = {
    "profile": ("name", "given_name", "family_name", "preferred_username", "locale"),
    "email": ("email", "email_verified"),
    "phone": ("phone_number", "phone_number_verified"),
    "address": ("address",),
    "groups": ("groups",),
    "roles": ("roles",),
}
SUPPORTED_CLAIMS: Final = ("sub", *(name for names in SCOPE_CLAIMS.values() for name in names))


def claims_for(person: Person, *, scopes: Collection[str], requested: Collection[str] = ()) -> dict[str, Any]:
    """The claims that scopes and the ``claims`` parameter (§5.5) ask for; ``sub`` always."""
    names = {"sub", *requested, *(name for scope in scopes for name in SCOPE_CLAIMS.get(scope, ()))}
    return {name: value for name, value in person.claims().items() if name in names}


PEOPLE: Final = (
    Person(
        subject="ada-1815",
        username="ada",
        name="Ada Lovelace",
        email="ada@example.com",
        email_verified=True,
        groups=("engines", "mathematics"),
        roles=("admin", "staff"),
        given_name="Ada",
        family_name="Lovelace",
        locale="en-GB",
        phone_number="+441815101210",
        address="12 St James's Square\nLondon",
    ),
    Person(
        subject="grace-1906",
        username="grace",
        name="Grace Hopper",
        email="grace@example.com",
        email_verified=True,
        groups=("compilers",),
        roles=("staff",),
        given_name="Grace",
        family_name="Hopper",
        locale="en-US",
    ),
    Person(
        subject="konrad-1910",
        username="konrad",
        name="Konrad Zuse",
        email="konrad@example.com",
        email_verified=True,
        groups=("engines",),
        given_name="Konrad",
        family_name="Zuse",
        locale="de-DE",
    ),
    Person(
        subject="linus-1969",
        username="linus",
        name="Linus Unverified",
        email="linus@example.com",
        email_verified=False,
        groups=("kernels",),
        roles=("staff",),
        given_name="Linus",
        family_name="Unverified",
        locale="fi-FI",
    ),
    Person(subject="anonymous-0", username="blank", name="Blank Page"),
)
