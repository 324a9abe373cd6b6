"""Holds answers against the description: each must be one that it names, with a body of the shape that it says."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.actors import parse_event
from useid_middleware import UseID
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send, route_path
from useid_middleware.openapi.document import describe
from useid_middleware.openapi.routes import groups_of

#: JSON travels as this; pages and streams say their charset as well.
JSON = "application/json"


class Undescribed(AssertionError):
    """An answer that the description does not know."""


@dataclass
class Description:
    """A document, and what it says of an answer."""

    document: dict[str, Any]
    #: The operations that answered, with the status: ``("POST /session/create", 201)``.
    seen: set[tuple[str, int]] = field(default_factory=set)
    _validators: dict[str, Draft202012Validator] = field(default_factory=dict)

    @classmethod
    def of(cls, useid: UseID, *, secure: bool = False) -> "Description":
        """What this plugin says of itself."""
        groups = list(groups_of(useid.router, useid.settings))
        made = describe(useid.router, useid.settings, groups, server=useid.settings.prefix, secure=secure)
        return cls(json.loads(json.dumps(made)))

    @cached_property
    def _paths(self) -> list[tuple[Callable[[str], re.Match[str] | None], str]]:
        """Literal segments win over variable ones, as in the router."""
        paths = sorted(self.document["paths"], key=lambda path: [part.startswith("{") for part in path.split("/")])
        return [(re.compile(re.sub(r"{\w+}", "[^/]+", path)).fullmatch, path) for path in paths]

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        """The call's route and what is said of it; ``None`` for what is not described."""
        template = next((template for matches, template in self._paths if matches(path)), None)
        described = self.document["paths"].get(template, {}).get("get" if method == "HEAD" else method.lower())
        return (f"{method} {template}", described) if described is not None else None

    def check(self, method: str, path: str, status: int, headers: dict[str, str], body: bytes) -> None:
        """Raise :class:`Undescribed` for an answer that is not as the description says."""
        found = self.operation(method, path)
        if found is None or status == 405:
            return
        route, described = found
        answer = described["responses"].get(str(status))
        where = f"{route}: {status} {body[:200]!r}"
        if answer is None:
            raise Undescribed(f"{where}: expected one of {', '.join(described['responses'])}")
        missing = {name for name in answer.get("headers", ()) if name.lower() not in headers}
        if missing:
            raise Undescribed(f"{where}: expected the headers {missing}")
        self._check_body(f"{route} {status}", where, answer.get("content", {}), headers, body, empty=method == "HEAD")
        for name, data in events_in(headers, body):
            if name not in described["x-events"]:
                raise Undescribed(f"{where}: expected events {', '.join(described['x-events'])}")
            self._validate(f"{route} {name}", described["x-events"][name], data)
        self.seen.add((route, status))

    def _check_body(
        self, key: str, where: str, content: dict[str, Any], headers: dict[str, str], body: bytes, *, empty: bool
    ) -> None:
        media_type = headers.get("content-type", "")
        if media_type not in content:
            media_type = media_type.partition(";")[0]
        if not content:
            if body or media_type:
                raise Undescribed(f"{where}: expected no body")
            return
        described = content.get(media_type, content.get("*/*"))
        if described is None:
            raise Undescribed(f"{where}: expected {', '.join(content)}, found {media_type!r}")
        if media_type == JSON and not empty and described:
            self._validate(key, described["schema"], json.loads(body))

    def _validate(self, key: str, schema: dict[str, Any], data: object) -> None:
        if key not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[key] = Draft202012Validator(whole, format_checker=FormatChecker())
        for error in self._validators[key].iter_errors(data):
            raise Undescribed(f"{key}: {error.json_path}: {error.message}")


def events_in(headers: dict[str, str], body: bytes) -> Iterator[tuple[str, Any]]:
    """The events of a stream."""
    if headers.get("content-type", "").startswith("text/event-stream"):
        for block in body.decode().split("\n\n"):
            if "event:" in block:
                yield parse_event(block)


class Checked:
    """An app whose every answer below the plugin's prefix is held against the description."""

    def __init__(self, app: ASGIApp, description: Description, *, prefix: str = "/auth") -> None:
        self._app = app
        self._below = prefix
        self.description = description

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. An answer is checked when it is complete."""
        if scope["type"] != "http" or not route_path(scope).startswith(self._below + "/"):
            await self._app(scope, receive, send)
            return
        method, path, sent = scope["method"], route_path(scope).removeprefix(self._below), list[Message]()

        async def collect(message: Message) -> None:
            sent.append(message)
            await send(message)

        await self._app(scope, receive, collect)
        if not sent:
            return  # The client left before anything was said.
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        self.description.check(method, path, sent[0]["status"], headers, body)
