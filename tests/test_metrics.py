"""Metrics: what is counted, how it is told, and who is told."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.actors import Browser
from tests.eid.watched_store import WatchedStore
from tests.qr.conftest import Clock, World, host_app, make_settings
from tests.test_docs import code, rows
from useid_middleware import Events, LimitSettings, Settings, UseID, UseIDMiddleware
from useid_middleware.errors import ConfigurationError, StateError, UnavailableError, UseIDError
from useid_middleware.events import (
    EIDRejected,
    LoginBound,
    LoginFailed,
    PasskeyAdded,
    PasskeyRemoved,
    TokenRefreshed,
)
from useid_middleware.http.asgi import Message
from useid_middleware.http.sse import EventStream
from useid_middleware.metrics import MeasuredStore, MeasuredStreams, Metrics, MetricsRoutes
from useid_middleware.metrics.collection import FAMILIES, UNDER_WAY
from useid_middleware.metrics.series import MAX_SERIES, Family, Kind, Registry
from useid_middleware.settings.monitoring import MetricsSettings
from useid_middleware.stores.base import Bucket
from useid_middleware.stores.memory import MemoryStore

#: A sample of the text format: name, labels, value.
SAMPLE = re.compile(r'([a-z_:]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+)').fullmatch


def parse(text: bytes) -> dict[str, float]:
    """The samples of an exposition, whose form is checked on the way: each family's help, type, samples."""
    found: dict[str, float] = {}
    family, families = "", []
    for line in text.decode().splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            families.append(family)
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == family
            assert line.split(" ")[3] in {"counter", "gauge", "histogram"}
        else:
            match = SAMPLE(line)
            assert match is not None, line
            assert re.fullmatch(rf"{family}(_bucket|_sum|_count)?", match[1]), line
            key = f"{match[1]}{{{match[2]}}}" if match[2] else match[1]
            assert key not in found
            found[key] = float(match[3])
    assert text.endswith(b"\n")
    assert len(set(families)) == len(families)
    return found


class Timer:
    """Each look at it is a little less than a millisecond later, and exactly so much."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks / 1024


class Measured(World):
    """A world that is measured."""

    metrics: Metrics

    async def numbers(self) -> dict[str, float]:
        """The samples, as Prometheus on this machine sees them."""
        answer = await local(self.app).get("/metrics")
        assert answer.status == 200, answer.body
        assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
        return parse(answer.body)


def local(app: UseIDMiddleware) -> Browser:
    return Browser(app, ip="127.0.0.1")


@asynccontextmanager
async def measured(settings: Settings | None = None, **values: Any) -> AsyncIterator[Measured]:
    """A world that is measured."""
    settings, clock = settings or make_settings(), Clock()
    settings = settings.model_copy(update={"metrics": MetricsSettings(path="/metrics", **values)})
    useid = UseID(settings, clock=clock)
    world = Measured(UseIDMiddleware(host_app, useid=useid), clock)
    assert useid.monitoring.metrics is not None
    world.metrics = useid.monitoring.metrics
    yield world
    await useid.stop()


async def test_a_login_by_phone_is_counted_step_by_step() -> None:
    async with measured() as world:
        phone, desktop = await world.enrolled_phone(), world.browser()
        session_id, link = await world.start(desktop)
        under_way = 'useid_logins_under_way{flow="qr",state="%s"}'
        assert (await world.numbers())[under_way % "waiting"] == 1
        world.clock.advance(7)
        assert (await phone.scan(link)).status == 200
        numbers = await world.numbers()
        assert (numbers[under_way % "waiting"], numbers[under_way % "scanned"]) == (0, 1)
        world.clock.advance(5)
        digits = (await phone.approve(link)).json()["code"]
        assert (await world.numbers())[under_way % "approved"] == 1
        assert (await desktop.post(f"/session/{session_id}/claim", {"code": digits})).status == 200
        numbers = await world.numbers()
        assert {numbers[under_way % state] for state in ("waiting", "scanned", "approved")} == {0}
        assert numbers['useid_login_transitions_total{flow="qr",to="waiting"}'] == 1
        assert numbers['useid_login_transitions_total{flow="qr",to="approved"}'] == 1
        assert numbers['useid_login_transitions_total{flow="qr",to="claimed"}'] == 1
        assert numbers['useid_login_transitions_total{flow="qr",to="expired"}'] == 0
        assert numbers['useid_time_to_approve_seconds_bucket{flow="qr",le="10"}'] == 0
        assert numbers['useid_time_to_approve_seconds_bucket{flow="qr",le="15"}'] == 1
        assert numbers['useid_time_to_approve_seconds_bucket{flow="qr",le="+Inf"}'] == 1
        assert numbers['useid_time_to_approve_seconds_sum{flow="qr"}'] == 12
        assert numbers['useid_time_to_approve_seconds_count{flow="qr"}'] == 1
        assert numbers['useid_logins_total{provider="qr"}'] == 1
        assert numbers['useid_logins_total{provider="host"}'] == 1
        assert numbers['useid_credentials_total{kind="phone",change="added"}'] == 1
        assert numbers["useid_processes"] == 1


async def test_rejections_and_endings_are_counted_by_their_reasons() -> None:
    async with measured() as world:
        phone, desktop = await world.enrolled_phone(), await world.log_in()
        _, link = await world.start(desktop)
        assert (await phone.reject(link)).status == 200
        assert (await desktop.post("/logout")).status == 204
        numbers = await world.numbers()
    assert numbers['useid_login_rejections_total{flow="qr",reason="user"}'] == 1
    assert numbers['useid_login_transitions_total{flow="qr",to="rejected"}'] == 1
    assert numbers['useid_logins_under_way{flow="qr",state="scanned"}'] == 0
    assert numbers['useid_sessions_ended_total{reason="logout"}'] == 1


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def metrics(events: Events) -> Metrics:
    return Metrics(events, clock=lambda: 0.0, settings=make_settings())


async def test_what_else_happens_is_counted(events: Events, metrics: Metrics) -> None:
    for event in (
        LoginFailed(0.0, "state_unknown", "https://sso.example"),
        TokenRefreshed(0.0, "session", None, None, None),
        LoginBound(0.0, "session"),
        EIDRejected(0.0, "session", "document"),
        PasskeyAdded(0.0, "account", "passkey"),
        PasskeyRemoved(0.0, "account", "passkey"),
    ):
        await events.emit(event)
    metrics.note_error(StateError("wrong_state", "claim: no"))
    metrics.note_audit_loss(3)
    numbers = parse(await metrics.text())
    assert numbers['useid_login_failures_total{provider="https://sso.example",code="state_unknown"}'] == 1
    assert numbers["useid_token_refreshes_total"] == 1
    assert numbers["useid_logins_bound_total"] == 1
    assert numbers['useid_login_rejections_total{flow="eid",reason="document"}'] == 1
    assert numbers['useid_credentials_total{kind="passkey",change="added"}'] == 1
    assert numbers['useid_credentials_total{kind="passkey",change="removed"}'] == 1
    assert numbers['useid_errors_total{code="wrong_state"}'] == 1
    assert numbers["useid_audit_entries_lost_total"] == 3


# The store


def calls(store: Any) -> Iterator[tuple[str, Any]]:
    """Each verb of a store."""
    yield "put", store.put("a", b"1", ttl=60)
    yield "get", store.get("a")
    yield "replace", store.replace("a", b"2", expected_version=1, ttl=60)
    yield "take", store.take("a")
    yield "delete", store.delete("a")
    yield "find", store.find("index")
    yield "spend", store.spend([Bucket("limit:ip:192.0.2.1", 1.0, 1)])
    yield "occupy", store.occupy("limit:logins", slot=9, lowest=1, highest=20, limit=5, ttl=60)
    yield "vacate", store.vacate("limit:logins", 9)
    yield "publish", store.publish("a", b"news")
    yield "subscribe", store.subscribe("a", lambda message: None)


async def test_every_verb_of_the_store_does_what_it_did_and_is_timed(metrics: Metrics) -> None:
    plain, store = MemoryStore(), MeasuredStore(MemoryStore(), metrics, timer=Timer())
    await store.open()
    for (verb, call), (_, other) in zip(calls(store), calls(plain), strict=True):
        if verb == "subscribe":
            await (await call)()
            await (await other)()
        else:
            assert await call == await other, verb
    numbers = parse(await metrics.text())
    for verb, call in calls(plain):
        call.close()
        assert numbers[f'useid_store_seconds_count{{verb="{verb}"}}'] == 1
        assert numbers[f'useid_store_seconds_bucket{{verb="{verb}",le="0.001"}}'] == 1
    await store.close()
    assert await store.get("a") is None


async def test_a_store_that_is_away_is_counted_by_verb_and_not_timed(metrics: Metrics) -> None:
    watched = WatchedStore(Clock())
    store = MeasuredStore(watched, metrics)
    watched.is_away = True
    verbs = []
    for verb, call in calls(store):
        verbs.append(verb)
        with pytest.raises(UnavailableError):
            await call
    numbers = parse(await metrics.text())
    assert {numbers[f'useid_store_failures_total{{verb="{verb}"}}'] for verb in verbs} == {1}
    assert not any(name.startswith("useid_store_seconds") for name in numbers)


async def test_a_limit_that_is_hit_is_counted_by_its_kind() -> None:
    async with measured(make_settings(limits=LimitSettings(per_ip=2, per_account=100, per_key=100))) as world:
        desktop = world.browser()
        answers = [(await desktop.post("/session/create")).status for _ in range(3)]
        numbers = await world.numbers()
    assert answers == [201, 429, 429]
    assert numbers['useid_limits_hit_total{limits="ip"}'] == 2


# Streams


async def test_open_streams_are_counted(metrics: Metrics) -> None:
    async def send(message: Message) -> None:
        raise AssertionError(message)

    streams = MeasuredStreams(metrics, retry=2, adapter=None)
    one, other = (EventStream(send, beat=lambda: (b"", 15.0)) for _ in range(2))
    streams.admit(one, b"", last=False, first_beat=15)
    streams.admit(other, b"", last=False, first_beat=15)
    assert parse(await metrics.text())["useid_sse_connections"] == 2
    streams.leave(one)
    assert parse(await metrics.text())["useid_sse_connections"] == 1
    streams.leave(other)
    streams.admit(one, b"", last=True, first_beat=15)
    assert parse(await metrics.text())["useid_sse_connections"] == 0
    streams.drain()


# The text


COUNTER = Family("c_total", Kind.COUNTER, "Things.", ("of",))
SIZES = Family("sizes", Kind.HISTOGRAM, "Sizes.", buckets=(1, 2.5))


def test_the_text_is_what_prometheus_reads() -> None:
    registry = Registry([COUNTER, SIZES])
    registry.add(COUNTER, "b")
    registry.add(COUNTER, 'a "quoted"\\\n', amount=2)
    for value in (0.5, 1, 2, 3):
        registry.observe(SIZES, value=value)
    assert registry.render([registry.snapshot()]).decode() == (
        "# HELP c_total Things.\n# TYPE c_total counter\n"
        'c_total{of="a \\"quoted\\"\\\\\\n"} 2\nc_total{of="b"} 1\n'
        "# HELP sizes Sizes.\n# TYPE sizes histogram\n"
        'sizes_bucket{le="1"} 2\nsizes_bucket{le="2.5"} 3\nsizes_bucket{le="+Inf"} 4\nsizes_sum 6.5\nsizes_count 4\n'
    )


def test_labels_that_others_choose_do_not_grow_without_bound() -> None:
    registry = Registry([COUNTER])
    for number in range(MAX_SERIES + 50):
        registry.add(COUNTER, f"provider-{number}")
    numbers = parse(registry.render([registry.snapshot()]))
    assert len(numbers) == MAX_SERIES + 1
    assert numbers['c_total{of="other"}'] == 50


def test_families_have_the_names_that_prometheus_asks_for() -> None:
    for family in FAMILIES:
        assert family.name.startswith("useid_")
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert tuple(sorted(family.buckets)) == family.buckets
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert UNDER_WAY in FAMILIES


def test_the_page_lists_every_metric_with_its_labels() -> None:
    listed = {code(row[0])[0]: (row[1], tuple(code(row[2]))) for row in rows("howto/metrics.md", skip="")}
    assert listed == {family.name: (family.kind.value, family.labels) for family in FAMILIES}


# Who is told


async def test_without_a_token_this_machine_alone_is_told() -> None:
    async with measured() as world:
        assert (await local(world.app).get("/metrics")).status == 200
        for browser in (
            Browser(world.app, ip="192.0.2.1"),
            Browser(world.app, ip=""),
            Browser(world.app, ip="127.0.0.1", host="app.localhost.example"),
            *(
                Browser(world.app, ip="127.0.0.1", headers={name: "192.0.2.1"})
                for name in ("x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host")
            ),
        ):
            answer = await browser.get("/metrics")
            assert answer.status in (404, 421), browser
            assert b"useid_" not in answer.body


async def test_a_proxy_that_asks_for_our_public_name_is_not_this_machine() -> None:
    async with measured(make_settings(origin="https://app.example")) as world:
        assert (await Browser(world.app, ip="127.0.0.1", host="app.example").get("/metrics")).status == 404
        assert (await Browser(world.app, ip="127.0.0.1", host="127.0.0.1:8000").get("/metrics")).status == 200
        assert (await Browser(world.app, ip="::1", host="[::1]:8000").get("/metrics")).status == 200


TOKEN = "a-token-for-prometheus"


async def test_with_a_token_whoever_brings_it_is_told_wherever_they_are() -> None:
    async with measured(token=TOKEN) as world:
        for scheme in ("Bearer", "bearer"):
            told = Browser(world.app, headers={"authorization": f"{scheme} {TOKEN}"})
            assert (await told.get("/metrics")).status == 200
        for value in (f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é", TOKEN):
            answer = await Browser(world.app, headers={"authorization": value}).get("/metrics")
            assert (answer.status, answer.code) == (404, "not_found")
        assert (await local(world.app).get("/metrics")).status == 404


async def test_where_no_path_is_set_there_is_no_such_address() -> None:
    async with measured() as world:
        routes = MetricsRoutes(world.metrics, MetricsSettings())
        assert routes.routes() == {}


def test_a_token_that_is_short_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        MetricsSettings.model_validate({"path": "/metrics", "token": "short"})


def test_in_production_there_is_a_token_unless_this_machine_is_allowed_without_one() -> None:
    live: dict[str, Any] = {"from_env": False, "production": True, "origin": "https://app.example"}
    with pytest.raises(ConfigurationError, match=r"metrics\.token must be set in production"):
        Settings(**live, metrics={"path": "/metrics"})
    Settings(**live, metrics={"path": "/metrics", "token": TOKEN})
    Settings(**live, metrics={"token": None})
    allowed = Settings(**live, metrics={"path": "/metrics", "allow_loopback_without_token": True})
    assert [warning.split()[0] for warning in allowed.warnings()] == ["metrics.token"]


def test_errors_are_noted_by_code_alone(metrics: Metrics) -> None:
    metrics.note_error(UseIDError("some_code", "with a message"))
    assert b"message" not in metrics.registry.render([metrics.registry.snapshot()])


# Several processes: tests/test_metrics_shared.py, tests/test_metrics_under_way.py


async def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with measured() as world:
        await world.numbers()
    assert list(tmp_path.iterdir()) == []
