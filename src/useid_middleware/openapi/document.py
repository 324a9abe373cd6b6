"""The description as a document: what is mounted, the tables that know it, and what holds for every call of a kind."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from msgspec.json import schema_components

from ..http.routing import Router
from ..sessions.cookie import SESSION_COOKIE
from ..settings import PathSettings, Settings
from ..waiting.browser import BROWSER_COOKIE, FRAME_COOKIE
from .codes import by_status
from .operations import FORM, PAGE, STREAM_EVENTS, Answer, By, Error, Group, Media, Operation

Schema: TypeAlias = dict[str, Any]

#: Of the calls, not of the package.
VERSION: Final = "1"
_INTRODUCTION: Final = (
    "Every way to log in. Errors are JSON with a stable code; where a person is on the way, a page with the same "
    "status. GET is also answered to HEAD. Where the application itself answers a login or logout, it does so in its "
    "own way."
)
_REFERENCE: Final = "#/components/schemas/{name}"
_COOKIES: Final = {
    "session": (SESSION_COOKIE, "A login session."),
    "browser": (BROWSER_COOKIE, "The browser that began what it waits for."),
    "frame": (FRAME_COOKIE, "The same in a frame of another site's page."),
}
_TEXT: Final[Mapping[str, str]] = {"type": "string"}
_VARIABLE: Final = re.compile(r"{(\w+)}").findall
#: What every call may answer: limits hold everywhere, nothing is done without a store and what it keeps, and without an
#: origin we are at loopback hosts alone.
_ALWAYS: Final = "unknown_host rate_limited store_unavailable record_unreadable"
_BODY: Final = "malformed_request body_too_large unsupported_media_type"
#: The codes that have headers of their own.
_UNAVAILABLE: Final = 503
_RETRY: Final = (429, _UNAVAILABLE)
_REDIRECTS: Final = (303,)


@dataclass(frozen=True, slots=True)
class Mounted:
    """A route that is served: its method and path, and what the tables say of it."""

    method: str
    path: str
    group: Group
    operation: Operation
    #: Pages of other sites may call it.
    is_open: bool


def describe(
    router: Router, settings: Settings, groups: Sequence[Group], *, server: str = "/auth", secure: bool = True
) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the routes that ``groups`` know.

    ``server`` is root path and prefix; ``secure``: the browser speaks https with us, which changes the cookies' names.
    """
    calls = list(mounted(router, settings, groups))
    schemas, components = _schemas(calls)
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        described = _describe(call, schemas, bearer=settings.sessions.bearer)
        paths.setdefault(call.path, {})[call.method.lower()] = described
    used = {call.group.name for call in calls}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{settings.app_name}: logins", "version": VERSION, "description": _INTRODUCTION},
        "servers": [{"url": server or "/"}],
        "tags": [{"name": each.name, "description": each.description} for each in groups if each.name in used],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": _security_schemes(
                secure=secure,
                bearer=settings.sessions.bearer,
                metrics=any(call.operation.by is By.METRICS for call in calls),
            ),
        },
    }


def mounted(router: Router, settings: Settings, groups: Sequence[Group]) -> Iterator[Mounted]:
    """The routes of a router that the tables know, in its order."""
    known = {route: (group, operation) for group in groups for route, operation in group.operations.items()}
    for route in router.routes:
        method, _, path = route.partition(" ")
        found = known.get(f"{method} {default_path(path, settings)}")
        matched = router.match(method, path)
        if found is not None and matched is not None:
            yield Mounted(method, path, *found, is_open=router.is_open(matched[0]))


def default_path(path: str, settings: Settings) -> str:
    """The path that a route would have if ``paths`` and the providers' callbacks were as they are by default.

    Metrics have none by default; theirs is that of their page.
    """
    callback = settings.paths.callback
    for name, provider in settings.oidc.providers.items():
        if path == provider.callback_path or (callback and path in (callback, f"{callback}/{name}")):
            return "/callback"
    if path == settings.metrics.path:
        return "/metrics"
    for name, field in PathSettings.model_fields.items():
        configured = getattr(settings.paths, name)
        if configured and (path == configured or path in (f"{configured}/done", f"{configured}/renew")):
            return str(field.default) + path.removeprefix(configured)
    return path


def error_codes(call: Mounted) -> str:
    """All codes that this call answers as JSON: its own and those of its kind."""
    operation = call.operation
    takes_body = operation.body is not None or operation.form or operation.takes is not None
    derived = (
        _ALWAYS,
        _BODY if takes_body else "",
        "malformed_request" if operation.query else "",
        "cross_site_request" if call.method != "GET" and not call.is_open else "",
        "login_required" if operation.by is By.SESSION else "",
        "browser_cookie_missing" if operation.by in (By.BROWSER, By.BROWSER_OR_FRAME) else "",
    )
    told = {*operation.never.split(), *(code for code in operation.pages.split() if code == "browser_cookie_missing")}
    return " ".join([operation.errors, *(code for codes in derived for code in codes.split() if code not in told)])


def _schemas(calls: Collection[Mounted]) -> tuple[dict[type, Schema], dict[str, Any]]:
    """The schema of each type that is answered, and what those refer to."""
    types: dict[type, None] = {Error: None}
    for call in calls:
        operation = call.operation
        types |= {answer: None for answer in operation.answers.values() if isinstance(answer, type)}
        if operation.events:
            types |= dict.fromkeys((*operation.events.values(), *STREAM_EVENTS.values()))
    schemas, components = schema_components(types, ref_template=_REFERENCE)
    return dict(zip(types, schemas, strict=True)), components


def _describe(call: Mounted, schemas: Mapping[type, Schema], *, bearer: bool) -> dict[str, Any]:
    operation = call.operation
    described: dict[str, Any] = {
        "operationId": "_".join([call.method.lower(), *re.findall(r"\w+", call.path)]).replace("-", "_"),
        "summary": operation.summary,
        "tags": [call.group.name],
    }
    if operation.by.value:
        described["security"] = [{name: []} for name in operation.by.value]
        if bearer and operation.by is By.SESSION:
            described["security"].append({"bearer": []})
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": _TEXT} for name in _VARIABLE(call.path)),
        *(
            {"name": name, "in": "query", "schema": _TEXT, "description": text}
            for name, text in operation.query.items()
        ),
        *(
            {"name": name, "in": "header", "schema": _TEXT, "description": text}
            for name, text in operation.headers.items()
        ),
    ]
    if parameters:
        described["parameters"] = parameters
    body = request_body(call)
    if body is not None:
        described["requestBody"] = body
    answers = {status: _answer(status, answer, schemas) for status, answer in operation.answers.items()}
    described["responses"] = {str(status): each for status, each in sorted((_errors(call, schemas) | answers).items())}
    if operation.events:
        events = {**operation.events, **STREAM_EVENTS}
        described["x-events"] = {name: schemas[kind] for name, kind in events.items()}
    return described


def request_body(call: Mounted) -> dict[str, Any] | None:
    """What the call takes; ``None`` for nothing."""
    operation = call.operation
    if operation.body is not None:
        schema = body_schema(operation.body, call.group.members)
        return {"required": not operation.body_is_optional, "content": {"application/json": {"schema": schema}}}
    if operation.form:
        fields = {name: {**_TEXT, "description": text} for name, text in operation.form.items()}
        schema = {"type": "object", "properties": fields}
        return {"required": True, "content": {FORM.content_type: {"schema": schema}}}
    if operation.takes is not None:
        return {"required": True, "content": {operation.takes.content_type: {"schema": _TEXT}}}
    return None


def body_schema(kind: type, members: Mapping[str, Mapping[str, Any]]) -> Schema:
    """The schema of a body: that of its dataclass, and what its members must be besides."""
    _, components = schema_components([kind])
    schema: Schema = components[kind.__name__]
    properties = {name: {**each, **members.get(name, {})} for name, each in schema["properties"].items()}
    return {"type": "object", "properties": properties, "required": schema["required"]}


def _answer(status: int, answer: Answer, schemas: Mapping[type, Schema]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": _DESCRIPTIONS.get(status, "Done.")}
    if isinstance(answer, Media):
        is_text = answer.content_type.startswith(("text/html", "text/plain"))
        described["content"] = {answer.content_type: {"schema": _TEXT} if is_text else {}}
    elif answer is not None:
        described["content"] = {"application/json": {"schema": schemas[answer]}}
    if status in _REDIRECTS:
        described["headers"] = {"Location": {"required": True, "schema": _TEXT}}
    return described


_DESCRIPTIONS: Final = {303: "On to another address.", 304: "The client has it already.", 400: "Refused."}


def _errors(call: Mounted, schemas: Mapping[type, Schema]) -> dict[int, dict[str, Any]]:
    """The answers of failure: JSON for some codes, a page for others, by status."""
    as_json, as_pages = by_status(error_codes(call)), by_status(call.operation.pages)
    found = {}
    for status in sorted(as_json | as_pages):
        codes = sorted({*as_json.get(status, ()), *as_pages.get(status, ())})
        content: dict[str, Any] = {}
        if status in as_json:
            content["application/json"] = {
                "schema": {**schemas[Error], "properties": {"code": _one_of(as_json[status])}}
            }
        # What is away is told to everybody in their way, whatever the call.
        if status in as_pages or status == _UNAVAILABLE:
            content[PAGE.content_type] = {"schema": _TEXT}
        found[status] = {"description": ", ".join(f"`{code}`" for code in codes), "content": content}
        if status in _RETRY and status not in as_pages:
            found[status]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    return found


def _one_of(codes: Sequence[str]) -> Schema:
    """The schema of ``code``: one of these; ``x_*`` stands for every code that begins with ``x_``."""
    exact = [code for code in codes if not code.endswith("*")]
    patterns: list[Schema] = [{"pattern": f"^{code.removesuffix('*')}"} for code in codes if code.endswith("*")]
    if not patterns:
        return {"enum": exact}
    return {"anyOf": [*([{"enum": exact}] if exact else []), *patterns]}


def _security_schemes(*, secure: bool, bearer: bool, metrics: bool) -> dict[str, Any]:
    schemes: dict[str, Any] = {
        name: {"type": "apiKey", "in": "cookie", "name": cookie.name(secure=secure), "description": text}
        for name, (cookie, text) in _COOKIES.items()
    }
    if bearer:
        schemes["bearer"] = {"type": "http", "scheme": "bearer", "description": "The token of a login session."}
    if metrics:
        schemes["metrics"] = {"type": "http", "scheme": "bearer", "description": "The token of whoever watches."}
    return schemes
