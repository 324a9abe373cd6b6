"""``useid oidc …`` against the development provider over the network."""

import asyncio
import io
import json
import stat
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from tests.oidc.network import Gate
from tests.oidc.served import Served, served_provider
from tests.oidc.world import CLIENT, ISSUER, KEYS, opened
from tests.qr.conftest import Clock
from useid_middleware.cli import main
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.driver import allow_device
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.stores.sqlite import SQLiteStore

Configure = Callable[..., str]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with served_provider(Policy(device_interval=1, refresh_tokens="always")) as served:
        served.provider.add_client(replace(CLIENT, grant_types=()))
        yield served


@pytest.fixture(autouse=True)
def correct(request: pytest.FixtureRequest) -> Iterator[None]:
    """Faults of one test are not those of the next."""
    yield
    if "served" in request.fixturenames:
        request.getfixturevalue("served").provider.clear()


@pytest.fixture
def configure(served: Served, tmp_path: Path) -> Configure:
    """Write the settings; ``providers`` are settings by name, on top of the usual ones."""

    def write(**providers: dict[str, str]) -> str:
        lines = [f'store = "sqlite:///{tmp_path / "store.db"}"']
        for name, changes in (providers or {"op": {}}).items():
            usual = {
                "issuer": served.provider.issuer,
                "client_id": CLIENT.client_id,
                "client_secret": CLIENT.client_secret,
            }
            lines.append(f"[oidc.providers.{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in (usual | changes).items()]
        (tmp_path / "useid.toml").write_text("\n".join(lines))
        return str(tmp_path / "useid.toml")

    return write


def test_a_connection_that_works_is_described(configure: Configure, capsys: Capture, served: Served) -> None:
    assert main(["oidc", "test-connection", "--config", configure()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"op: {served.provider.issuer}", "  ok      metadata, 3 keys"]
    for what in ("userinfo", "logout at the provider", "session monitor", "device code", "introspection"):
        assert f"  ok      {what}" in lines
    assert not any(line.startswith("  differs") for line in lines)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("discovery-issuer-mismatch", "issuer_mismatch"),
        ("garbage-jwks", "jwks_invalid"),
        ("down-discovery", "provider_unreachable"),
    ],
)
def test_a_connection_that_does_not_work_says_why(
    configure: Configure, capsys: Capture, served: Served, fault: str, code: str
) -> None:
    served.provider.inject(fault)
    assert main(["oidc", "test-connection", "--config", configure()]) == 1
    assert f"  failed  {code}: " in capsys.readouterr().out


def test_each_provider_is_tested_or_the_one_that_is_named(configure: Configure, capsys: Capture) -> None:
    config = configure(good={}, gone={"issuer": "http://127.0.0.1:9"})
    assert main(["oidc", "test-connection", "--config", config]) == 1
    both = capsys.readouterr().out
    assert "good: " in both
    assert "gone: http://127.0.0.1:9\n  failed  provider_unreachable: " in both
    assert main(["oidc", "test-connection", "--config", config, "--provider", "good"]) == 0
    assert "gone" not in capsys.readouterr().out


def test_a_token_for_the_client_itself_and_what_the_provider_says_of_it(
    configure: Configure, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure()
    assert main(["oidc", "client-credentials", "--scope", "reports", "--config", config]) == 0
    given = json.loads(capsys.readouterr().out)
    assert (given["scope"], given["expires_at"] > time.time()) == ("reports", True)
    monkeypatch.setattr("sys.stdin", io.StringIO(given["access_token"] + "\n"))
    assert main(["oidc", "introspect", "--config", config]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["active"], said["client_id"]) == (True, "shop")
    monkeypatch.setattr("sys.stdin", io.StringIO("made up\n"))
    assert main(["oidc", "introspect", "--hint", "refresh_token", "--config", config]) == 0
    assert json.loads(capsys.readouterr().out) == {"active": False}


def test_a_login_by_device_code_prints_the_tokens_once_somebody_agreed(
    configure: Configure, capsys: Capture, served: Served
) -> None:
    provider = served.provider
    begun = served.answered["/device-authorization"] = threading.Event()

    async def agree() -> None:
        [device] = provider.realm.records.devices.values(now=time.time())
        async with httpx2.AsyncClient() as client:
            await allow_device(client, f"{provider.issuer}/device?user_code={device.user_code}", person="grace")

    def person() -> None:
        assert begun.wait(20)
        asyncio.run(agree())

    thread = threading.Thread(target=person)
    thread.start()
    try:
        assert main(["oidc", "login", "--scope", "openid email", "--config", configure()]) == 0
    finally:
        thread.join()
    captured = capsys.readouterr()
    assert captured.err.startswith(f"Open {provider.issuer}/device and enter ")
    tokens = json.loads(captured.out)
    assert tokens["scope"] == "openid email"
    answer = httpx2.get(
        f"{provider.issuer}/userinfo", headers={"authorization": f"Bearer {tokens['access_token']}"}
    ).json()
    assert answer["email"] == "grace@example.com"


def test_registering_prints_settings_that_work(
    configure: Configure, capsys: Capture, served: Served, tmp_path: Path
) -> None:
    where = "https://app.example/auth/callback"
    assert main(["oidc", "register", served.provider.issuer, "--redirect-uri", where, "--name", "Shop"]) == 0
    printed = capsys.readouterr().out.replace("NAME", "new")
    settings = tomllib.loads(printed)["oidc"]["providers"]["new"]
    client = served.provider.realm.clients[settings["client_id"]]
    assert (client.client_name, client.redirect_uris) == ("Shop", (where,))
    (tmp_path / "new.toml").write_text(printed)
    assert main(["oidc", "test-connection", "--config", str(tmp_path / "new.toml")]) == 0


def test_keys_are_made_for_their_owner_alone_and_never_over_others(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "keys.json"
    assert main(["oidc", "keys", str(file)]) == 0
    public = json.loads(capsys.readouterr().out)["keys"]
    private = json.loads(file.read_text())["keys"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {key["kid"] for key in public} == {key["kid"] for key in private}
    assert all("d" in key for key in private)
    assert not any({"d", "p", "q"} & key.keys() for key in public)
    before = file.read_bytes()
    assert main(["oidc", "keys", str(file)]) == 1
    assert "exists; keys are not overwritten" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_refusal_of_the_provider_is_a_code_and_tells_no_secret(configure: Configure, capsys: Capture) -> None:
    config = configure(op={"client_secret": "wrong-and-secret"})
    assert main(["oidc", "client-credentials", "--config", config]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("token_refused: ")
    assert "wrong-and-secret" not in said.err + said.out


def test_which_provider_is_meant_must_be_clear(configure: Configure, capsys: Capture, tmp_path: Path) -> None:
    config = configure(first={}, second={"issuer": "http://127.0.0.1:9"})
    for words in ([], ["--provider", "third"]):
        assert main(["oidc", "client-credentials", "--config", config, *words]) == 1
        assert "--provider must be one of first, second" in capsys.readouterr().err
    (tmp_path / "empty.toml").write_text('app_name = "Shop"')
    assert main(["oidc", "test-connection", "--config", str(tmp_path / "empty.toml")]) == 1
    assert "oidc.providers must name a provider" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["clear", "warmup"])
async def test_all_workers_forget_what_they_keep_or_fetch_it_anew(
    configure: Configure, tmp_path: Path, capsys: Capture, action: str
) -> None:
    config, clock = configure(), Clock(time.time())
    op = Provider(ISSUER, clients=[CLIENT], keys=KEYS, clock=clock)
    gate = Gate(op, "/jwks")
    store = SQLiteStore(f"sqlite:///{tmp_path / 'store.db'}", key_prefix="useid:", clock=clock)
    async with opened(op=op, clock=clock, store=store, transport=gate) as worker:
        await worker.log_in(worker.browser())
        gate.reached.clear()
        told = asyncio.Event()
        unsubscribe = await store.subscribe("oidc-cache", lambda message: told.set())
        assert await asyncio.to_thread(main, ["oidc", "cache", action, "--config", config]) == 0
        assert f"told the workers that share sqlite: {action}" in capsys.readouterr().out
        await asyncio.wait_for(told.wait(), 10)
        if action == "warmup":
            await asyncio.wait_for(gate.reached.wait(), 10)
        else:
            assert not gate.reached.is_set()
        await worker.log_in(worker.browser())
        assert len(op.received("/jwks")) == len(op.received("/.well-known/openid-configuration")) == 2
        await unsubscribe()
