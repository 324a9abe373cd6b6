"""What the documentation claims is compared with the code; what it shows is run by test_docs_examples."""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
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
from useid_middleware.eid.core.results import ClientMinor, Minor
from useid_middleware.eid.core.session import Reason, State
from useid_middleware.emulation.server.soap_keys import CLIENT, prepare_key
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
    return "–" if default is None else f"`{json.dumps(default, default=str)}`"


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
    "network.trusted_proxies": ["10.0.0.5"],
    "network.forwarded_by": "forwarded",
    "network.forwarded": ["for"],
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
    "levels": {"/payments": "L2"},
    "paths.step_up": "/more",
    "paths.openapi": "/api.json",
    "webauthn.rp_id": "shop.example",
    "webauthn.origins": ["https://my.shop.example"],
    "webauthn.user_verification": "preferred",
    "webauthn.attestation": "direct",
    "webauthn.trust_anchors": ["anchors.pem"],
    "webauthn.metadata_blob": "mds.jwt",
    "webauthn.metadata_roots": ["root.pem"],
    "webauthn.aaguids": ["ee882879-721c-4913-9775-3dfcce97072a"],
    "audit.file": "audit.log",
    "audit.key_file": "audit.key",
    "audit.fsync": "never",
    "audit.on_error": "log",
    "log.format": "json",
    "metrics.path": "/metrics",
    "metrics.token": "a-token-for-prometheus",
    "metrics.directory": "metrics",
    "eid.server": "embedded",
    "eid.tls_certificate": "shop.pem",
    "eid.tls_key": "shop-key.pem",
    "eid.ca_file": "authorities.pem",
    "eid.signing_certificate": "shop-signing.pem",
    "eid.signing_key": "shop-signing-key.pem",
    "eid.server_signing_certificate": "eid-server.pem",
    "eid.paos_address": "https://eid.example/paos",
    "eid.required": ["GivenNames", "RestrictedID"],
    "eid.optional": ["GivenNames"],
    "eid.age": 18,
    "eid.community_id": "0276",
    "eid.transaction_info": "Order 17",
    "eid.level_of_assurance": "hoch",
    "eid.keep": ["RestrictedID"],
    "eid.username": "GivenNames",
    "eid.client": "integrated",
    "eid.webauthn_server": "https://login.example",
    "eid.webauthn_server_keys": ["login.pem"],
    "eid.pki": "test-pki",
    "eid.server_tls_certificate": "shop.pem",
    "eid.soap_clients": ["other.pem"],
}
#: A site that the settings of tenants are tried with, and other values than its.
TENANT: dict[str, object] = {"origins": ["https://shop.example"], "token_urls": ["https://shop.example/eid/"]}
OTHER |= {"embed.tenants": {"shop": TENANT}} | {
    f"embed.tenants.<name>.{name}": value
    for name, value in {
        "origins": ["https://shop.example:8443"],
        "token_urls": ["https://shop.example/eid?token="],
        "refresh_origins": ["https://login.shop.example"],
        "theme": "dark",
        "client": "bound",
        "server_keys": ["shop.pem"],
        "default_target": "https://shop.example/login",
    }.items()
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
    if name.startswith("embed.tenants."):
        variables |= {f"USEID_EMBED__TENANTS__STAFF__{member.upper()}": each for member, each in TENANT.items()}
    if name.endswith(".client"):
        variables["USEID_WEBAUTHN__ENABLED"] = True  # A bound login is refused without.
    if name == "eid.username":
        variables["USEID_EID__OPTIONAL"] = ["GivenNames"]  # It is refused without.
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
        secret = {"client_secret": STAFF["client_secret"]} if name == "oidc.providers" else {}
        return {key: each.model_dump(mode="json", exclude_unset=True) | secret for key, each in found.items()}
    if isinstance(found, SecretStr):
        return found.get_secret_value()
    if isinstance(found, Path):
        return str(found)
    if isinstance(found, tuple):
        return [str(each) if isinstance(each, Path) else each for each in found]
    return found


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


#: Errors whose code and status are their class's own, and where they belong.
OWN_CODE = {
    "configuration_error": ("errors.py", "ConfigurationError", 500),
    "eid_server_refused": ("eid/", "EIDServerError", 502),
    "login_refused": ("errors.py", "RefusedError", 403),
    "rate_limited": ("errors.py", "RateLimited", 429),
}
OWN_KIND = (errors.ConfigurationError, errors.EIDServerError, errors.RefusedError, errors.RateLimited)
#: Raised before there is a server, by the phone or its client, at the command line, or in what nothing serves yet.
NOT_SENT = (
    *("emulation/", "qr/core/link.py", "eid/core/link.py", "eid/core/tctoken.py", "oidc/core/registration.py"),
    *("oidc/commands.py", "webauthn/core/sealing.py"),
)
#: Raised to the host app, or caught and logged.
NOT_ANSWERED = ("configuration_error", "not_authenticated", "refresh_failed", "claims_source_refused")


def raised() -> Iterator[tuple[str, str, str, int]]:
    """Each error that the source makes: the file, and its code, class and status."""
    package = Path(useid_middleware.__file__).parent
    for name, (place, kind, status) in OWN_CODE.items():
        yield place, name, kind, status
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
        for heading in (
            *("What the server answers", "At a login by a provider, and at its logouts"),
            *("At a login with an ID card", "With passkeys, and where a page demands a level"),
        )
        for row in found[heading]
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
    assert listed == {name: str(status) for name, kinds in sent(*ELSEWHERE).items() for _, status in kinds}


#: What the device switch has nothing to do with.
ELSEWHERE = ("oidc/", "eid/", "webauthn/", "integrations/", "sessions/protection.py")


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


def test_the_webauthn_reference_lists_every_call() -> None:
    assert calls("reference/webauthn.md") == served(webauthn={"enabled": True}) - served()


def test_the_webauthn_reference_lists_every_code() -> None:
    folder = Path(useid_middleware.__file__).parent / "webauthn"
    made = set()
    for path in folder.rglob("*.py"):
        if path.name != "sealing.py":
            made |= set(re.findall(r'Error\(\s*"((?:webauthn|passkey|ceremony)_\w+)"', path.read_text()))
    found = tables(page("reference/webauthn.md"))
    headings = ("Errors", "The response of the authenticator", "The attestation statement", "Whom to believe")
    listed = {code(row[0])[0] for heading in headings for row in found[heading] if row[0].startswith("`")}
    assert listed == made | {"level_required"}


@pytest.fixture
def eid_services(tmp_path: Path) -> list[Path]:
    """The certificate of an eService, for the embedded eID server."""
    return [prepare_key(tmp_path / "pki", CLIENT, now=datetime.now(UTC)).certificate_file]


def test_the_eid_reference_lists_every_call(eid_services: list[Path]) -> None:
    with_all = {"eid": {"server": "embedded", "soap_clients": eid_services}, "embed": {"tenants": {"shop": TENANT}}}
    assert calls("reference/eid.md") == served(**with_all) - served()


def test_the_eid_reference_says_which_settings_serve_what(eid_services: list[Path]) -> None:
    own, shared = {"GET /eid", "POST /eid/plain"}, {"POST /eid/start", "GET /eid/tctoken/{token}"}
    login = own | shared
    embedding, paos, soap = {"GET /embed.js", "GET /widget"}, {"POST /eid/paos"}, {"POST /eid/soap"}
    everything = login | embedding | paos | soap
    tenants = {"embed": {"tenants": {"shop": TENANT}}}
    assert served(eid={"server": "embedded"}) & everything == login | paos
    assert served(eid={"server": "embedded", "soap_clients": eid_services}) & everything == login | paos | soap
    assert served(**tenants) & everything == shared | embedding


def test_the_eid_reference_lists_every_error_of_its_calls() -> None:
    found = tables(page("reference/eid.md"))["Errors"]
    listed: dict[str, str] = {}
    for row in found:
        for name in code(row[0]):
            listed[name] = row[1]
    known = sent("oidc/")
    assert {name: str(status) for name in listed for _, status in known[name]} == listed
    own = {name for name in sent("oidc/") if name not in sent("oidc/", "eid/")}
    assert own <= listed.keys()


def test_the_eid_reference_lists_every_code_of_the_emulated_client() -> None:
    client = Path(useid_middleware.__file__).parent / "emulation" / "client"
    # Those that come from elsewhere: the network, and messages of the server.
    made: set[object] = {"server_unreachable", "paos_invalid"}
    for path in client.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("Failure" | "_unusable"), args=[ast.Constant(code_), *_]):
                    made.add(code_)
    listed = [
        name for row in tables(page("reference/eid.md"))["What the emulated client says"] for name in code(row[0])
    ]
    assert set(listed) == made


def test_the_eid_reference_lists_every_status_reason_and_minor() -> None:
    found = tables(page("reference/eid.md"))["Status"]
    listed = {code(row[0])[0] for row in found if row[0].startswith("`")} - {"reason"}
    assert listed == {*State, *Reason}
    soap = {code(row[1])[0] for row in tables(page("reference/eid.md"))["The interface of TR-03130"] if "`" in row[1]}
    assert soap == {minor.rpartition("/")[2] for minor in Minor}
    for minor in ClientMinor:
        assert f"`{minor.partition('resultminor/')[2]}`" in page("reference/eid.md")


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
        r"`((?:qr|limits|sse|sessions|oidc|eid|embed|paths|audit|metrics|log)\.(?!py\b|js\b)[a-z_.<>]+)(?: = [^`]*)?`",
        PAGES[name].read_text(),
    )
    assert set(named) <= {setting for setting, _ in fields(Settings)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_no_place_of_the_machine_it_was_written_on(name: str) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|tmp|root)/", PAGES[name].read_text()) == []
