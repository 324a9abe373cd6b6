"""What the documentation claims is compared with the code; what it shows is run by test_docs_examples."""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard, get_args

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

import useid_middleware
from tests.test_flow import functions, tables
from useid_middleware import (
    Event,
    Settings,
    UseID,
    errors,
    events,
)
from useid_middleware.events import Question
from useid_middleware.oidc.keygen import new_client_keys

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in ("*.md", "docs/**/*.md", "example_app/**/*.md", "benchmarks/**/*.md")
    for path in sorted(ROOT.glob(pattern))
}
TESTS = {name for path in (ROOT / "tests").rglob("test_*.py") for name in functions(path)}


def page(name: str) -> str:
    return (DOCS / name).read_text()


def rows(name: str, *, skip: str) -> Iterator[list[str]]:
    """The cells of all tables on a page whose first cell is code."""
    for heading, found in tables(page(name)).items():
        yield from (row for row in found if heading != skip and row[0].startswith("`"))


def code(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


# References


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every setting and its default; groups are walked, and so is what an object has by name, as ``<name>``."""
    for name, field in model.model_fields.items():
        if is_model(field.annotation):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field.get_default(call_default_factory=True)
            for inside in filter(is_model, get_args(field.annotation)):
                yield from fields(inside, f"{prefix}{name}.<name>.")


def is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def shown(default: object) -> str:
    """How the page writes a default."""
    if default is PydanticUndefined:
        return "required"
    return "–" if default is None else f"`{json.dumps(default)}`"


def test_the_settings_page_lists_every_setting_with_its_variable_and_default() -> None:
    expected = {
        name: ("USEID_" + name.upper().replace(".", "__"), shown(default)) for name, default in fields(Settings)
    }
    found = {code(name)[0]: (code(variable)[0], value) for name, variable, _, value, _ in rows_of_settings()}
    assert found == expected


def rows_of_settings() -> list[list[str]]:
    return list(rows("reference/settings.md", skip=""))


#: A provider that the settings of providers are tried with, and what one of them needs besides.
STAFF = {"issuer": "https://sso.example", "client_id": "shop", "client_secret": "s3cret"}
NEEDS: dict[str, dict[str, object]] = {
    "profile": {"private_keys": "keys.json", "dpop": True},
    "request_object": {"private_keys": "keys.json"},
    "acr_required": {"acr_values": ["high"]},
}

#: Values other than the defaults, where adding one or saying the opposite does not make one.
OTHER: dict[str, object] = {
    "app_name": "Shop",
    "app_names": ["Shop for partners"],
    "origin": "https://shop.example",
    "prefix": "/login",
    "store": "memory://",
    "accounts": "memory://",
    "key_prefix": "shop:",
    "landing_page": "/start",
    "redirect_origins": ["https://shop.example"],
    "qr.scheme": "shop",
    "qr.universal_link": "https://shop.example/phone",
    "qr.assurance": "L0",
    "sse.responder": "sse-starlette",
    "protected": ["/orders"],
    "paths.login": "/enter",
    "paths.logout": "/leave",
    "paths.callback": "/back",
    "paths.backchannel_logout": "/ended",
    "paths.frontchannel_logout": "",
    "paths.session_monitor": "/watch",
    "paths.initiate": "/from-elsewhere",
    "paths.error": "/what-happened",
    "paths.profile": "",
    "oidc.providers": {"guests": STAFF},
    "oidc.default_provider": "staff",
    "oidc.new_user_page": "/welcome?first=1",
    "oidc.existing_user_page": "/select",
    "oidc.after_logout": "/bye",
    "oidc.webfinger_domains": ["example.com"],
}
#: The same for the settings of a provider.
OTHER_OF_PROVIDER: dict[str, object] = {
    "issuer": "https://sso.example/realms/staff/",
    "public_issuer": "https://login.example",
    "client_id": "shop-2",
    "client_secret": "12345",
    "client_authentication": "client_secret_post",
    "label": "the staff login",
    "private_keys": "keys.json",
    "tls_certificate": "shop.pem",
    "tls_key": "shop-key.pem",
    "ca_file": "authorities.pem",
    "scopes": ["openid", "offline_access"],
    "response_type": "code id_token",
    "response_mode": "form_post",
    "callback_path": "/back/staff",
    "profile": "fapi2",
    "pushed_authorization": "always",
    "request_object": "value",
    "algorithms": ["ES256"],
    "userinfo": "never",
    "max_age": 3600,
    "acr_values": ["high", "low"],
    "prompt": "select_account",
    "ui_locales": "de en",
    "parameters": {"access_type": "offline"},
    "trusted_audiences": ["api"],
    "username_claim": "email",
    "roles_claim": "realm_access.roles",
    "levels": {"high": "L1"},
    "claims_providers": ["https://claims.example"],
    "metadata": {"issuer": "https://sso.example"},
    "jwks": {"keys": []},
}
OTHER |= {f"oidc.providers.<name>.{name}": value for name, value in OTHER_OF_PROVIDER.items()}


@pytest.mark.parametrize("row", rows_of_settings(), ids=lambda row: str(row[0]))
def test_a_setting_is_set_by_the_variable_that_the_page_names(row: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, variable, default = code(row[0])[0], code(row[1])[0], row[3]
    value = OTHER.get(name)
    if value is None:
        parsed = json.loads(default.strip("`"))
        value = not parsed if isinstance(parsed, bool) else parsed + 1
    variables: dict[str, object] = {}
    if name == "production":
        variables["USEID_ORIGIN"] = "https://shop.example"  # It is refused without.
    if name.startswith("oidc.providers.") or name == "oidc.default_provider":
        needed = STAFF | NEEDS.get(name.rpartition(".")[2], {})
        variables |= {f"USEID_OIDC__PROVIDERS__STAFF__{member.upper()}": each for member, each in needed.items()}
    variables[variable.replace("<NAME>", "STAFF")] = value
    for each, text in variables.items():
        monkeypatch.setenv(each, text if isinstance(text, str) else json.dumps(text))
    assert setting(Settings(), name.replace("<name>", "staff")) == value


def setting(settings: Settings, name: str) -> object:
    """A setting's value as the page would write it."""
    found: Any = settings
    for part in name.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    if isinstance(found, dict) and all(isinstance(each, BaseModel) for each in found.values()):
        secret = {"client_secret": STAFF["client_secret"]}
        return {key: each.model_dump(mode="json", exclude_unset=True) | secret for key, each in found.items()}
    if isinstance(found, SecretStr):
        return found.get_secret_value()
    if isinstance(found, Path):
        return str(found)
    return list(found) if isinstance(found, tuple) else found


def test_the_settings_pages_toml_and_variable_are_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", page("reference/settings.md"), re.S)
    (tmp_path / "useid.toml").write_text(text)
    monkeypatch.setenv("USEID_OIDC__PROVIDERS__STAFF__CLIENT_SECRET", "s3cret")
    settings = Settings(config_file=tmp_path / "useid.toml")
    assert (settings.production, settings.qr.lifetime) == (True, 120)
    assert setting(settings, "oidc.providers") == {"staff": STAFF | {"issuer": "https://sso.example/realms/staff"}}
    assert settings.warnings() == []


def is_event(kind: object) -> TypeGuard[type[Event]]:
    return isinstance(kind, type) and issubclass(kind, Event)


def test_the_events_page_lists_every_event_with_its_fields() -> None:
    kinds: list[Any] = [kind for kind in vars(useid_middleware).values() if is_event(kind) and kind is not Event]
    expected = {
        kind.__name__: ([field.name for field in dataclasses.fields(kind)], "yes" if kind.may_refuse else "no")
        for kind in kinds
    }
    listed = {code(row[0])[0]: row for row in rows("reference/events.md", skip="")}
    assert {name: (code(row[1]), row[3]) for name, row in listed.items()} == expected
    for name, row in listed.items():
        changed = code(row[2])
        assert set(changed) <= set(code(row[1])), name
        assert bool(changed) == issubclass(getattr(events, name), Question), f"{name}: facts cannot be changed"


def test_every_event_can_be_imported_from_the_package() -> None:
    kinds = [kind for kind in vars(events).values() if is_event(kind)]
    assert {kind.__name__ for kind in kinds if not kind.__subclasses__()} <= vars(useid_middleware).keys()


def test_the_api_page_lists_what_the_package_exports() -> None:
    tree = ast.parse(Path(useid_middleware.__file__).read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exported = [alias.asname for node in imports for alias in node.names]
    listed = [code(row[0])[0] for row in tables(page("reference/api.md"))["Python API"] if row[0].startswith("`")]
    assert sorted(listed) == sorted(filter(None, exported))
    assert len(imports) == len(tree.body) - 1, "__init__ holds a docstring and imports"


#: Errors whose code and status are their class's own.
OWN_CODE = {
    "configuration_error": ("ConfigurationError", 500),
    "login_refused": ("RefusedError", 403),
    "rate_limited": ("RateLimited", 429),
}
OWN_KIND = (errors.ConfigurationError, errors.RefusedError, errors.RateLimited)
#: Raised before there is a server, by the phone, or at the command line.
NOT_SENT = ("emulation/", "qr/core/link.py", "oidc/core/registration.py", "oidc/commands.py")
#: Raised to the host app, or caught and logged.
NOT_ANSWERED = ("configuration_error", "not_authenticated", "refresh_failed", "claims_source_refused")


def raised() -> Iterator[tuple[str, str, str, int]]:
    """Each error that the source makes: the file, and its code, class and status."""
    package = Path(useid_middleware.__file__).parent
    for name, (kind, status) in OWN_CODE.items():
        yield "errors.py", name, kind, status
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            made, first = getattr(errors, node.func.id, None), node.args[0]
            if made in OWN_KIND or not isinstance(made, type) or not isinstance(first, ast.Constant):
                continue
            if issubclass(made, errors.UseIDError):
                hints = [word.value for word in node.keywords if word.arg == "status_hint"]
                status = ast.literal_eval(hints[0]) if hints else made.status_hint
                yield path.relative_to(package).as_posix(), str(first.value), made.__name__, status


def sent(*apart: str) -> dict[str, set[tuple[str, int]]]:
    """What goes over HTTP, but from the files and folders ``apart``: class and status of each code."""
    found: dict[str, set[tuple[str, int]]] = {}
    for file, name, kind, status in raised():
        if not file.startswith((*NOT_SENT, *apart)) and name not in NOT_ANSWERED:
            found.setdefault(name, set()).add((kind, status))
    return found


def test_the_errors_page_lists_every_code_with_its_classes_and_status() -> None:
    found = tables(page("reference/errors.md"))
    listed = {
        code(row[0])[0]: {(kind, int(status)) for kind in code(row[1]) for status in row[2].split()}
        for row in (*found["What the server answers"], *found["At a login by a provider, and at its logouts"])
        if row[0].startswith("`")
    }
    assert listed == sent()


def test_the_errors_page_lists_the_codes_that_are_not_sent() -> None:
    over_http = sent()
    expected = {(name, kind) for _, name, kind, _ in raised() if name not in over_http}
    found = tables(page("reference/errors.md"))["What does not go over HTTP"]
    assert {(code(row[0])[0], code(row[1])[0]) for row in found if row[0].startswith("`")} == expected


def test_the_wire_reference_lists_every_code_with_its_status() -> None:
    listed: dict[str, str] = {}
    for row in tables(page("reference/device-switch.md"))["Errors"]:
        names, statuses = code(row[0]), re.findall(r"\d{3}", row[1])
        # Several codes of a row share its status, or each has its own.
        listed |= dict(zip(names, statuses if len(statuses) > 1 else statuses * len(names), strict=True))
    assert listed == {name: str(status) for name, kinds in sent("oidc/").items() for _, status in kinds}


def calls(name: str) -> set[str]:
    """The routes in a page's table of calls."""
    cells = [code(row[0]) for row in tables(page(name))["Calls"]]
    return {call.partition("?")[0] for cell in cells for call in cell}


def served(**values: Any) -> set[str]:
    """The routes of a plugin with these settings."""
    routes = UseID(Settings(from_env=False, **values)).router.routes
    return {route.replace("/locales/{file}", "/{file}") for route in routes}


def test_the_wire_reference_lists_every_call() -> None:
    assert calls("reference/device-switch.md") == served()


def test_the_reference_of_openid_connect_lists_every_call(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(new_client_keys()[0])
    provider = STAFF | {"request_object": "reference", "private_keys": tmp_path / "keys.json"}
    shared = {"GET /login", "GET /logout", "POST /logout", "GET /sessions/current/events"}
    assert calls("reference/oidc.md") == shared | served(oidc={"providers": {"staff": provider}}) - served()


# All pages


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    text = re.sub(r"```.*?```", "", PAGES[name].read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (PAGES[name].parent / file).resolve() if file else PAGES[name]
        assert path.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{name}: {target}"


@pytest.mark.parametrize("name", PAGES)
def test_every_python_block_compiles(name: str) -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGES[name].read_text(), re.S):
        compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_page_names_exists(name: str) -> None:
    named = set(re.findall(r"`(?:([\w/.]+)::)?(test_\w+)`", PAGES[name].read_text()))
    assert {test for _, test in named} <= TESTS
    for path, test in named:
        assert not path or test in functions(ROOT / path), f"{path}::{test}"


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    named = re.findall(
        r"`((?:qr|limits|sse|sessions|oidc|paths)\.(?!py\b|js\b)[a-z_.<>]+)(?: = [^`]*)?`", PAGES[name].read_text()
    )
    assert set(named) <= {setting for setting, _ in fields(Settings)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_no_place_of_the_machine_it_was_written_on(name: str) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|tmp|root)/", PAGES[name].read_text()) == []
