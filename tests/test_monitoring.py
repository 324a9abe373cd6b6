"""Audit log and metrics as the settings put them around a plugin."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tests.actors import Browser
from tests.qr.conftest import World, make_settings, open_world
from tests.test_audit import names
from tests.test_docs import page
from tests.test_metrics import parse
from useid_middleware import Settings, UseID
from useid_middleware.cli import main
from useid_middleware.errors import ConfigurationError
from useid_middleware.stores.memory import MemoryStore


def settings(folder: Path, **values: Any) -> Settings:
    """Everything is watched."""
    watched: dict[str, Any] = {
        "audit": {"file": folder / "audit.log"},
        "metrics": {"path": "/metrics", "directory": folder / "shared"},
    }
    return make_settings(**watched, **values)


async def log_in(world: World) -> None:
    """A login by phone, and a step that is refused."""
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        assert await stream.next_status() == "waiting"
        assert (await numbers(world))["useid_sse_connections"] == 1
        code = (await phone.approve(link)).json()["code"]
        assert await stream.next_status() == "scanned"
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).code == "wrong_state"


async def numbers(world: World) -> dict[str, float]:
    answer = await Browser(world.app, ip="127.0.0.1").get("/metrics")
    assert answer.status == 200, answer.body
    return parse(answer.body)


async def test_a_plugin_that_is_watched_writes_and_counts(tmp_path: Path) -> None:
    world = await open_world(settings(tmp_path))
    await log_in(world)
    found = await numbers(world)
    assert found['useid_errors_total{code="wrong_state"}'] == 1
    assert found['useid_logins_total{provider="qr"}'] == 1
    assert found["useid_sse_connections"] == 0
    assert found['useid_store_seconds_count{verb="put"}'] > 0
    assert (await world.browser().get("/metrics")).code == "not_found"
    assert (await numbers(world))['useid_errors_total{code="not_found"}'] == 1
    await world.app.useid.stop()
    # The second claim is an attempt, and the address that is none of ours is not.
    assert names(tmp_path / "audit.log")[-4:] == ["QRApproved", "LoginSucceeded", "LoginCompleted", "AttemptRefused"]


async def test_a_plugin_that_is_not_watched_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    world = await open_world(make_settings())
    assert isinstance(world.app.useid.store, MemoryStore)
    assert (await Browser(world.app, ip="127.0.0.1").get("/metrics")).body == b""
    await world.app.useid.stop()
    assert list(tmp_path.iterdir()) == []


async def test_a_plugin_that_is_started_again_goes_on(tmp_path: Path) -> None:
    world = await open_world(settings(tmp_path))
    await world.log_in("alice")
    await world.app.useid.stop()
    await world.log_in("alice")
    assert (await numbers(world))['useid_logins_total{provider="host"}'] == 2
    await world.app.useid.stop()
    assert names(tmp_path / "audit.log").count("LoginCompleted") == 2


async def test_a_log_that_is_watched_is_begun_with_the_plugin(tmp_path: Path) -> None:
    world = await open_world(settings(tmp_path))
    await world.app.useid.start()
    assert names(tmp_path / "audit.log") == ["log_started"]
    await world.app.useid.stop()
    assert main(["audit", "verify", str(tmp_path / "audit.log")]) == 0


async def test_a_plugin_whose_audit_log_cannot_be_written_does_not_start(tmp_path: Path) -> None:
    useid = UseID(make_settings(audit={"file": tmp_path / "nowhere" / "audit.log"}))
    with pytest.raises(ConfigurationError, match=r"audit\.file cannot be written"):
        await useid.start()
    lenient = UseID(make_settings(audit={"file": tmp_path / "nowhere" / "audit.log", "on_error": "log"}))
    await lenient.start()
    await lenient.stop()


async def test_a_lost_entry_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    world = await open_world(
        make_settings(audit={"file": folder / "audit.log", "on_error": "log"}, metrics={"path": "/metrics"})
    )
    await world.app.useid.start()
    (folder / "audit.log").unlink()
    folder.rmdir()
    await world.log_in()
    assert (await numbers(world))["useid_audit_entries_lost_total"] == len(caplog.records) > 0
    assert {record.levelno for record in caplog.records} == {logging.CRITICAL}
    await world.app.useid.stop()


def test_settings_that_watch_say_what_is_unsafe_about_it(tmp_path: Path) -> None:
    warnings = make_settings(audit={"file": tmp_path / "a", "on_error": "log"}, metrics={"path": "/metrics"}).warnings()
    assert [warning.split()[0] for warning in warnings if warning.startswith(("audit", "metrics"))] == [
        *("metrics.token", "audit.on_error")
    ]
    safe = make_settings(audit={"file": tmp_path / "a"}, metrics={"path": "/metrics", "token": "t" * 16}).warnings()
    assert [warning for warning in safe if warning.startswith(("audit", "metrics"))] == []


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_metrics_do_not_take_the_place_of_a_page(path: str) -> None:
    with pytest.raises(ConfigurationError, match="paths must differ"):
        make_settings(metrics={"path": path})


def test_check_lists_the_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USEID_METRICS__PATH", "/metrics")
    assert main(["check"]) == 0
    assert "GET    /auth/metrics" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["audit", "metrics"])
def test_the_pages_own_toml_is_a_configuration(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(re.findall(r"```toml\n(.*?)```", page(f"howto/{name}.md"), re.S))
    (tmp_path / "useid.toml").write_text(text.replace("…", "t" * 16))
    configured = Settings(config_file=tmp_path / "useid.toml")
    assert (
        getattr(configured, name).model_fields_set
        == {"audit": {"file", "key_file"}, "metrics": {"path", "token", "directory"}}[name]
    )
