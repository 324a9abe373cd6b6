"""The shape of the package, where the import contracts of pyproject.toml do not reach."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "useid_middleware"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
SOURCES = {
    path.relative_to(ROOT).as_posix(): path
    for folder in (PACKAGE, ROOT / "example_app")
    for path in sorted(folder.rglob("*"))
    if path.suffix in (".py", ".js")
}

#: Where each library may be imported: one folder or module, so that replacing it touches one place.
PLACES = {
    "asn1crypto": ("eac/", "emulation/pki", "webauthn/core/"),
    "authlib": ("oidc/client.py", "oidc/calls.py"),
    "cryptography": (
        *("_sealing.py", "eac/", "eid/core/", "eid/network.py", "http/pins.py"),
        *("oidc/core/", "webauthn/", "emulation/"),
    ),
    # A module for each framework, which apps of that framework import.
    **dict.fromkeys(("asgiref", "django", "fastapi", "litestar", "quart", "werkzeug"), ("integrations/",)),
    # The demo serves the checkout's example.
    "example_app": ("cli.py",),
    "httpx2": ("oidc/network.py", "oidc/http_auth.py", "eid/network.py", "emulation/"),
    "fido2": ("webauthn/core/", "emulation/phone/"),
    "joserfc": ("oidc/core/", "oidc/keygen.py", "webauthn/core/", "emulation/provider/"),
    "lxml": ("_xml.py", "eid/core/"),
    # Besides, what describes the bodies that it decodes.
    "msgspec": ("_codec.py", "openapi/"),
    # The server verifies and the emulated phone signs.
    "nacl": ("qr/core/", "webauthn/core/", "emulation/phone/"),
    "pydantic": ("settings/", "emulation/card/personalisation.py"),
    "pydantic_settings": ("settings/",),
    "redis": ("stores/redis",),
    "hiredis": ("stores/redis",),
    "segno": ("qr/",),
    "sqlalchemy": ("accounts/",),
    "sse_starlette": ("http/",),
    "starlette": ("sessions/",),
    "uvicorn": (
        "cli.py",
        "emulation/provider/commands.py",
        "emulation/client/serving.py",
        "emulation/server/serving.py",
    ),
}

#: Needed without being imported: SQLAlchemy loads its drivers by name, redis-py its faster parser when it is there.
LOADED_BY_OTHERS = {"aiosqlite", "asyncpg"}
IMPORT_NAMES = {"pynacl": "nacl"}


@cache
def libraries(path: Path) -> frozenset[str]:
    """The top-level names of all third-party imports in a module, wherever in it they stand."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return frozenset(names - sys.stdlib_module_names - {"useid_middleware"})


def requirements(*, extras: tuple[str, ...]) -> set[str]:
    """The distributions that pyproject.toml asks for, always and by these extras, as they are spelled there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {re.split(r"[\[<>=~! ;]", line)[0] for line in wanted}


@pytest.mark.parametrize("name", MODULES)
def test_a_library_is_imported_in_its_one_place_only(name: str) -> None:
    astray = {library for library in libraries(MODULES[name]) if not name.startswith(PLACES.get(library, ()))}
    assert astray == set(), f"{name} may not import these; see PLACES for where each belongs"


def test_every_dependency_is_used() -> None:
    used = LOADED_BY_OTHERS.union(*map(libraries, MODULES.values()))
    asked_for = requirements(extras=("redis", "postgres", "demo"))
    assert {name for name in asked_for if IMPORT_NAMES.get(name, name.replace("-", "_")) not in used} == set()


def test_every_imported_library_is_a_dependency() -> None:
    asked_for = requirements(extras=("redis", "postgres", "demo", "dev"))
    importable = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in asked_for}
    assert set().union(*map(libraries, MODULES.values())) <= importable | {"example_app"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_file_has_at_most_400_lines(name: str) -> None:
    assert len(SOURCES[name].read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_named_after_what_it_holds(name: str) -> None:
    words = set(re.split(r"[/_.]", name))
    assert words.isdisjoint({"util", "utils", "helper", "helpers", "common", "manager", "misc", "base_utils"})


def test_the_constraints_pin_versions_and_name_no_place() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)] == []


def test_the_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines if not line.startswith("#")}
    assert requirements(extras=("redis", "postgres", "demo", "dev")) <= pinned
