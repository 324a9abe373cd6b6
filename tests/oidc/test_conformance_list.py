"""No module of the list is missing: what the conformance tests play is compared with the published list of modules."""

import re
from collections.abc import Iterator, Set
from importlib import import_module
from pathlib import Path
from types import FunctionType

from tests.oidc.conformance import full_name

LIST = "oidc_client_conformance.md"
#: The plans of the list, and those that the tests name. Hybrid has all of implicit, but its response type.
PLANS = {
    "basic": "basic",
    "config": "config",
    "dynamic adds": "dynamic",
    "implicit/hybrid": "hybrid",
    "form_post": "form_post",
    "comprehensive adds": "comprehensive",
    "refresh": "refresh",
    "third party": "third-party",
    "RP logout": "rp-logout",
    "back-channel": "back-channel",
    "front-channel": "front-channel",
    "session": "session",
}
#: Plans that play all modules of another one as well, as the list says with "basic's" and "the same lists".
INCLUDED = {"hybrid": "basic", "form_post": "basic"}
#: A module's name; one that begins with a hyphen goes on after the name before it.
NAME = re.compile(r"-?[a-z0-9]+(?:-[a-z0-9_]+)+")
#: What the names that begin with a hyphen go on after.
STEMS = {"back-channel": "rp-backchannel-rpinitlogout", "fapi2": "ensure-jarm"}
MODULES = ("basic", "hybrid", "config", "refresh", "logout", "fapi", "extra", "extra_logout")


def names_in(text: str, stem: str = "") -> Iterator[str]:
    """The modules that a piece of the list names; remarks in brackets are left out."""
    for piece in re.split(r"[,;:·]", re.sub(r"\([^)]*\)", "", text)):
        found = [word.rstrip(".") for word in piece.split() if NAME.fullmatch(word.rstrip("."))]
        assert len(found) <= 1, piece
        for name in found:
            yield stem + name if name.startswith("-") else name


def listed(text: str) -> set[tuple[str, str]]:
    """Plan and full name of each module of the list."""
    head, _, rest = text.partition("Prefix `fapi2-security-profile-final-client-test-`:")
    found = {("basic", full_name("basic", ""))} if "(plain)" in head else set()
    bullets = head.partition("\n- ")[2].replace("\n  ", " ").replace(" · ", "\n- ")
    for bullet in bullets.strip().split("\n- "):
        title, _, modules = bullet.partition(":")
        plan = PLANS[re.sub(r" \(.*\)", "", title)]
        found |= {(plan, full_name(plan, name)) for name in names_in(modules, STEMS.get(plan, ""))}
    for plan, other in INCLUDED.items():
        found |= {(plan, name) for each, name in found if each == other}
    fapi = rest.partition("\n\n")[0].replace("\n", " ")
    return found | {("fapi2", full_name("fapi2", name)) for name in names_in(fapi, STEMS["fapi2"])}


def asked_here(text: str) -> set[str]:
    """The phrases of the list's last paragraph."""
    phrases = text.partition("Not in the suite, asked here: ")[2].strip().rstrip(".").replace("\n", " ")
    return {re.sub(r" \(.*\)|`", "", phrase.strip()) for phrase in phrases.split(";")}


def played() -> list[tuple[str, str]]:
    """Plan and full name of each module that a test plays, as the tests' own marks say."""
    found = []
    for name in MODULES:
        for test in vars(import_module(f"tests.oidc.test_conformance_{name}")).values():
            if isinstance(test, FunctionType) and test.__name__.startswith("test_"):
                for mark in getattr(test, "pytestmark", []):
                    if mark.args[0] == ("plan", "module"):
                        found += [(plan, full_name(plan, module)) for plan, module in (p.values for p in mark.args[1])]
    return found


def plain(pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """The flavours of FAPI as one plan."""
    return {("fapi2" if plan.startswith("fapi2") else plan, name) for plan, name in pairs}


def test_the_list_is_read_as_it_says_of_itself(vectors: Path) -> None:
    modules = listed((vectors / LIST).read_text())
    counts = {plan: len([name for each, name in modules if each == plan]) for plan in {plan for plan, _ in modules}}
    assert counts == {
        "basic": 14,
        "config": 6,
        "dynamic": 5,
        "hybrid": 19,
        "form_post": 15,
        "comprehensive": 6,
        "refresh": 3,
        "third-party": 1,
        "rp-logout": 3,
        "back-channel": 8,
        "front-channel": 2,
        "session": 1,
        "fapi2": 31,
    }


def test_every_module_of_the_list_is_played_in_its_plan(vectors: Path) -> None:
    wanted = listed((vectors / LIST).read_text())
    assert wanted - plain(played()) == set()


def test_nothing_is_played_that_the_list_does_not_know(vectors: Path) -> None:
    text = (vectors / LIST).read_text()
    known = listed(text) | {("asked-here", phrase) for phrase in asked_here(text)}
    assert plain(played()) - known == set()


def test_all_that_the_suite_lacks_is_played_as_well(vectors: Path) -> None:
    wanted = asked_here((vectors / LIST).read_text())
    assert len(wanted) == 16
    assert wanted - {name for plan, name in played() if plan == "asked-here"} == set()


def test_ninety_modules_and_more_are_played_each_once() -> None:
    modules = [(plan, name) for plan, name in played() if plan != "asked-here"]
    assert len(set(modules)) == len(modules)
    assert len({name for _, name in modules}) >= 75
    assert len(modules) >= 150


def test_the_flavours_of_fapi_leave_out_only_what_they_cannot_have() -> None:
    flavours: dict[str, Set[str]] = {
        plan: {name for each, name in played() if each == plan}
        for plan in ("fapi2-dpop", "fapi2-mtls", "fapi2-message-signing")
    }
    every = flavours["fapi2-dpop"]
    assert len(every) == 23
    assert {name.rpartition("client-test-")[2] for name in every - flavours["fapi2-mtls"]} == {
        "happy-path-no-dpop-nonce",
        "rs-dpop-auth-scheme-case-insensitivity",
    }
    assert {name.rpartition("client-test-")[2] for name in every - flavours["fapi2-message-signing"]} == {
        "invalid-authorization-response-iss",
        "remove-authorization-response-iss",
    }
