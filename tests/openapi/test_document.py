"""The description says what is mounted, and nothing else: paths, bodies and codes are those of the code."""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import useid_middleware
from tests.openapi.checking import Description
from tests.openapi.world import SHOP, everything
from tests.test_docs import sent
from useid_middleware import Settings, UseID
from useid_middleware.openapi.codes import STATUSES, parse_codes
from useid_middleware.openapi.document import describe, error_codes, mounted
from useid_middleware.openapi.operations import Group
from useid_middleware.openapi.routes import groups_of

PACKAGE = Path(useid_middleware.__file__).parent
STAFF = {"issuer": "https://sso.example", "client_id": "shop", "client_secret": "s3cret"}
ALL_MOVED = {
    "login": "/enter",
    "logout": "/leave",
    "callback": "/back",
    "backchannel_logout": "/ended",
    "frontchannel_logout": "/gone",
    "session_monitor": "/watch",
    "initiate": "/from-elsewhere",
    "error": "/what-happened",
    "profile": "/me",
    "step_up": "/more",
    "openapi": "/api.json",
}


def plugin(**values: Any) -> UseID:
    return UseID(Settings(from_env=False, store="memory://", accounts="memory://", **values))


def routes_of(document: dict[str, Any]) -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


@pytest.fixture(scope="module")
def whole(country: Path, tmp_path_factory: pytest.TempPathFactory) -> UseID:
    return everything(country, tmp_path_factory.mktemp("openapi"))[0]


def test_every_call_is_described_and_nothing_else(whole: UseID) -> None:
    assert routes_of(Description.of(whole).document) == set(whole.router.routes)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"qr": {"enabled": False}},
        {"webauthn": {"enabled": True}},
        {"embed": {"tenants": {"shop": SHOP}}},
        {"oidc": {"providers": {"staff": STAFF}}},
        {"oidc": {"providers": {"staff": STAFF | {"callback_path": "/from-staff"}}}, "paths": ALL_MOVED},
        {"oidc": {"providers": {"a": STAFF, "b": STAFF | {"issuer": "https://b.example"}}}, "paths": ALL_MOVED},
        {"paths": dict.fromkeys(ALL_MOVED, ""), "oidc": {"providers": {"staff": STAFF}}},
        {"metrics": {"path": "/metrics"}},
        {"metrics": {"path": "/numbers", "token": "t" * 16}, "paths": ALL_MOVED},
    ],
)
def test_only_what_is_mounted_is_described_wherever_it_is(values: dict[str, Any]) -> None:
    useid = plugin(**values)
    assert routes_of(Description.of(useid).document) == set(useid.router.routes)


def test_metrics_are_described_with_who_is_told_and_in_which_format() -> None:
    document = Description.of(plugin(metrics={"path": "/numbers", "token": "t" * 16})).document
    described = document["paths"]["/numbers"]["get"]
    assert described["security"] == [{"metrics": []}]
    assert document["components"]["securitySchemes"]["metrics"]["scheme"] == "bearer"
    content = described["responses"]["200"]["content"]
    assert content == {"text/plain; version=0.0.4; charset=utf-8": {"schema": {"type": "string"}}}
    assert described["responses"].keys() == {"200", "404", "421", "503"}
    assert "t" * 16 not in json.dumps(document)


def test_without_a_token_no_scheme_is_asked_for_and_the_description_says_who_is_told() -> None:
    document = Description.of(plugin(metrics={"path": "/metrics"})).document
    assert "security" not in document["paths"]["/metrics"]["get"]
    assert "on this machine" in document["paths"]["/metrics"]["get"]["summary"]
    assert "metrics" not in document["components"]["securitySchemes"]


def test_what_the_host_app_mounts_itself_is_not_described() -> None:
    useid = plugin()
    useid.router.add({"GET /numbers": lambda _: pytest.fail("nobody asks")})
    assert "/numbers" not in Description.of(useid).document["paths"]


@pytest.mark.parametrize("bearer", [False, True])
def test_it_is_a_valid_description(whole: UseID, bearer: bool) -> None:
    useid = plugin(sessions={"bearer": True}) if bearer else whole
    document = Description.of(useid).document
    OpenAPIV31SpecValidator(document).validate()
    schemes = document["components"]["securitySchemes"]
    assert ("bearer" in schemes) is bearer
    used = {name for path in document["paths"].values() for each in path.values() for way in each.get("security", ())
            for name in way}  # fmt: skip
    assert used <= schemes.keys()


def test_no_two_calls_have_the_same_operation_id(whole: UseID) -> None:
    paths = Description.of(whole).document["paths"].values()
    ids = [each["operationId"] for path in paths for each in path.values()]
    assert len(ids) == len(set(ids))


def test_a_request_body_has_the_members_of_its_dataclass(whole: UseID) -> None:
    document = Description.of(whole).document
    compared = 0
    for call in mounted(whole.router, whole.settings, list(groups_of(whole.router, whole.settings))):
        body = call.operation.body
        if body is None:
            continue
        described = document["paths"][call.path][call.method.lower()]["requestBody"]
        schema = described["content"]["application/json"]["schema"]
        fields = {field.name: field for field in dataclasses.fields(body)}
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        assert schema["properties"].keys() == fields.keys(), call.path
        assert set(schema["required"]) == required, call.path
        kinds = {str: "string", int: "integer", tuple[str, ...]: "array", dict[str, Any]: "object"}
        for name, kind in get_type_hints(body).items():
            assert schema["properties"][name]["type"] == kinds[kind], (call.path, name)
        compared += 1
    assert compared >= 19


def test_the_bodies_that_routes_decode_are_those_that_are_described(whole: UseID) -> None:
    groups = list(groups_of(whole.router, whole.settings))
    described = {each.body for group in groups for each in group.operations.values() if each.body is not None}
    assert {(kind.__module__.partition(".")[2], kind.__name__) for kind in described} == set(decoded())


def decoded() -> Iterator[tuple[str, str]]:
    """Every ``JsonType(X)`` in a module of routes: the module, and X."""
    for path in PACKAGE.rglob("*routes.py"):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("JsonType"), args=[ast.Name(kind)]) if not name.startswith("emulation"):
                    yield name, kind


def test_what_a_member_must_be_besides_is_said_of_members_that_there_are(whole: UseID) -> None:
    for group in groups_of(whole.router, whole.settings):
        members = {
            field.name for each in group.operations.values() if each.body for field in dataclasses.fields(each.body)
        }
        assert group.members.keys() <= members, group.name


# ── codes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_code_has_the_status_that_the_source_gives_it() -> None:
    made = {name: {status for _, status in kinds} for name, kinds in sent().items()}
    assert {name: {status} for name, status in STATUSES.items()} == {
        name: statuses for name, statuses in made.items() if len(statuses) == 1
    }
    assert [name for name, statuses in made.items() if len(statuses) > 1] == ["token_malformed"]


def test_every_code_is_said_of_some_call(whole: UseID) -> None:
    said = {
        code
        for call in mounted(whole.router, whole.settings, list(groups_of(whole.router, whole.settings)))
        for codes in (error_codes(call), call.operation.pages)
        for code, _ in parse_codes(codes)
    }
    # A known path with another method is no call; a logout token that comes twice is answered as its standard says.
    assert STATUSES.keys() - said == {"method_not_allowed", "logout_replayed"}
    assert {code for code in said - STATUSES.keys() if not code.endswith("*")} == {"token_malformed"}


def test_a_code_without_a_status_is_found_when_the_description_is_made() -> None:
    useid = plugin()
    (group,) = [each for each in groups_of(useid.router, useid.settings) if "GET /sessions" in each.operations]
    wrong = dataclasses.replace(group.operations["GET /sessions"], errors="no_such_code")
    changed = Group(group.name, group.description, {**group.operations, "GET /sessions": wrong})
    with pytest.raises(KeyError):
        describe(useid.router, useid.settings, [changed])


def test_errors_have_one_shape(whole: UseID) -> None:
    document = Description.of(whole).document
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            for status, answer in described["responses"].items():
                if int(status) < 400 or (path, status) == ("/backchannel-logout", "400"):
                    continue
                assert answer["content"].keys() <= {"application/json", "text/html"}, (method, path, status)
                if "application/json" in answer["content"]:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema["$ref"] == "#/components/schemas/Error"
                    assert schema["properties"].keys() == {"code"}


def test_the_tables_need_nothing_of_the_wire_but_json() -> None:
    # A set or bytes in a table would be found here, and not when somebody asks.
    assert msgspec.json.decode(msgspec.json.encode(Description.of(plugin()).document))


# ── the page of the reference ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_reference_shows_what_the_description_says() -> None:
    page = (PACKAGE.parents[1] / "docs" / "reference" / "openapi.md").read_text()
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.S)
    path, method = "/session/{id}", "get"
    assert json.loads(shown) == {path: {method: Description.of(plugin()).document["paths"][path][method]}}
