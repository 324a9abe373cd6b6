"""Schemathesis draws requests from the description, such as fit it and such as do not; every answer is one it names."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.actors import Answer, Browser
from tests.fuzz.effort import effort
from tests.openapi.situation import Situation
from tests.openapi.world import HOST, ORIGIN, everything, host_app
from useid_middleware import UseIDMiddleware
from useid_middleware.openapi.device_switch import GROUP as DEVICE_SWITCH
from useid_middleware.openapi.eid import GROUP as EID
from useid_middleware.openapi.metrics import GROUP as METRICS
from useid_middleware.openapi.oidc import GROUP as OIDC
from useid_middleware.openapi.sessions import GROUP as SESSIONS
from useid_middleware.openapi.webauthn import GROUP as WEBAUTHN

OPERATIONS: Final = {
    route.replace("/callback", "/callback/op"): operation
    for group in (SESSIONS, DEVICE_SWITCH, WEBAUTHN, EID, OIDC, METRICS)
    for route, operation in group.operations.items()
}
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Requests of each kind for each call, in a run of the tests.
EXAMPLES: Final = 15
#: What is refused for more than a schema can say: unprintable characters, a tcTokenURL that belongs to no site. To a
#: schema, 1.0 is an integer.
MORE_THAN_SCHEMA: Final = ("label:", "tenant:", "mode:", "username:", "body: Expected `int`, got `float`")


@dataclass
class Plugin:
    """The plugin, the description as Schemathesis reads it, and somebody who has begun what there is to begin."""

    app: UseIDMiddleware
    schema: schemathesis.BaseSchema
    situation: Situation
    runner: asyncio.Runner

    def send(self, request: requests.PreparedRequest) -> Answer:
        """The answer to a request, from an address like any other."""
        body = request.body or b""
        headers = {name: value if isinstance(value, str) else value.decode() for name, value in request.headers.items()}
        browser = Browser(self.app, host=HOST)
        sending = browser.send(
            str(request.method), request.path_url, body if isinstance(body, bytes) else str(body).encode(), headers
        )
        return self.runner.run(sending)

    def try_out(self, case: "Case[Any]") -> Answer:
        """Send it, and hold the answer against the description."""
        sent = case.as_transport_kwargs(base_url=f"{ORIGIN}/auth")
        kept = ("method", "url", "headers", "params", "data", "json", "cookies", "files")
        request = requests.Request(**{name: sent[name] for name in kept if name in sent}).prepare()
        answer = self.send(request)
        headers: dict[str, list[str]] = defaultdict(list)
        for name, value in answer.headers:
            headers[name.decode()].append(value.decode("latin-1"))
        response = Response(answer.status, headers, answer.body, request, elapsed=0.0, verify=False)
        is_valid = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
        case.validate_response(response, checks=CHECKS if is_valid else [*CHECKS, negative_data_rejection])
        return answer


@pytest.fixture(scope="module")
def plugin(country: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    useid, _ = everything(country, tmp_path_factory.mktemp("schemathesis"))
    app = UseIDMiddleware(host_app, useid=useid)
    with asyncio.Runner() as runner:
        document = runner.run(Browser(app, host=HOST).get("/openapi.json")).json()
        yield Plugin(app, schemathesis.openapi.from_dict(document), runner.run(Situation.begin(app)), runner)
        runner.run(useid.stop())


def operation_of(plugin: Plugin, route: str) -> Any:
    method, _, path = route.partition(" ")
    return plugin.schema[path][method]


@pytest.mark.parametrize("route", sorted(OPERATIONS))
def test_a_request_that_fits_is_answered_as_described_and_never_called_malformed(plugin: Plugin, route: str) -> None:
    @effort(EXAMPLES)
    @given(case=operation_of(plugin, route).as_strategy(), knows=st.booleans())
    def try_out(case: "Case[Any]", knows: bool) -> None:
        if knows:
            plugin.runner.run(plugin.situation.put_into(case, route))
        answer = plugin.try_out(case)
        if answer.header("content-type") == "application/json" and answer.status == 400:
            said = answer.json()
            assert said.get("code") != "malformed_request" or said["message"].startswith(MORE_THAN_SCHEMA), said

    try_out()


# Any text is a form, or a message that its own protocol refuses; JSON has members.
@pytest.mark.parametrize("route", sorted(route for route, operation in OPERATIONS.items() if operation.body))
def test_a_body_that_does_not_fit_is_refused(plugin: Plugin, route: str) -> None:
    operation = operation_of(plugin, route)
    assert [body.media_type for body in operation.body] == ["application/json"]

    @effort(EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def try_out(case: "Case[Any]") -> None:
        plugin.try_out(case)

    try_out()
