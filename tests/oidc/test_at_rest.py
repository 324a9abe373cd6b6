"""What a copy of the store tells: no token, no code, no verifier, no nonce, and no cookie."""

from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tests.actors import Browser
from tests.oidc.world import FORM, ISSUER, World, asked, open_world
from tests.qr.conftest import Clock
from useid_middleware import LoginSucceeded, TokenRefreshed
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.oidc.core.tokens import TokenSet
from useid_middleware.oidc.keygen import new_client_keys
from useid_middleware.stores.sqlite import SQLiteStore


def on_disk(folder: Path) -> bytes:
    """All bytes of the store's files: the database, its log of writes, its index."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def readable(folder: Path, secrets: dict[str, str]) -> list[str]:
    """The names of the secrets that the files give away, whole or in part: of a token, its signature is enough."""
    disk = on_disk(folder)
    return [name for name, secret in secrets.items() if secret.rpartition(".")[2].encode() in disk]


def of_tokens(name: str, tokens: TokenSet) -> dict[str, str]:
    found = {"access": tokens.access_token, "refresh": tokens.refresh_token, "id": tokens.id_token}
    assert all(found.values())
    return {f"{name} {kind} token": value for kind, value in found.items()}


async def world_on(folder: Path, **provider: str) -> World:
    folder.mkdir()
    clock = Clock()
    store = SQLiteStore(f"sqlite:///{folder / 'store.db'}", key_prefix="useid:", clock=clock)
    return await open_world(store=store, clock=clock, policy=Policy(refresh_tokens="always"), provider=provider)


async def test_no_secret_of_a_login_can_be_read_from_the_store_at_any_time(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    world = await world_on(folder)
    browser = world.browser()
    address = await world.begin(browser)
    secrets = {"nonce": asked(address)["nonce"], "attempt cookie": browser.cookies["useid-oidc"]}
    # The scan sees what is kept in the open: the state finds the attempt, and is worth nothing without the cookie.
    assert asked(address)["state"].encode() in on_disk(folder)
    assert readable(folder, secrets) == []

    await world.come_back(browser, await world.approve(address))
    [exchange] = world.provider.received("/token")
    [succeeded] = world.told(LoginSucceeded)
    secrets |= {"verifier": exchange.param("code_verifier"), "code": exchange.param("code")}
    secrets |= {"session cookie": browser.cookies["useid-session"], **of_tokens("first", succeeded.identity.tokens)}
    [session] = await world.app.useid.sessions.of_subject(ISSUER, "ada-1815")
    assert session.id.encode() in on_disk(folder)
    assert readable(folder, secrets) == []

    world.clock.advance(541)
    assert (await world.token(browser)).status == 200
    [refreshed] = world.told(TokenRefreshed)
    secrets |= of_tokens("second", refreshed.tokens)
    assert len(secrets) == 11
    assert readable(folder, secrets) == []
    await world.close()
    assert readable(folder, secrets) == []


async def test_a_posted_response_that_waits_for_its_browser_cannot_be_read_either(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    world = await world_on(folder, response_type="code id_token")
    browser = world.browser()
    arrival = await world.approve(await world.begin(browser))
    assert arrival.form is not None
    sent = await Browser(world.app).send(
        "POST", urlsplit(arrival.url).path, urlencode(arrival.form).encode(), {"content-type": FORM}
    )
    form = dict(arrival.form)
    secrets = {"code": form["code"], "id token": form["id_token"], "handle": asked(sent.header("location"))["posted"]}
    assert b"oidc-response:" in on_disk(folder)
    assert readable(folder, secrets) == []
    assert (await browser.send("GET", sent.header("location"))).header("location") == "/"
    assert await world.who(browser) == "ada"
    await world.close()


async def test_a_request_object_that_waits_for_the_provider_cannot_be_read_either(tmp_path: Path) -> None:
    folder, keys = tmp_path / "store", tmp_path / "keys.json"
    keys.write_bytes(new_client_keys()[0])
    world = await world_on(folder, request_object="reference", private_keys=str(keys))
    browser = world.browser()
    reference = urlsplit(asked(await world.begin(browser))["request_uri"]).path
    fetched = await browser.send("GET", reference)
    assert fetched.header("content-type") == "application/oauth-authz-req+jwt"
    secrets = {"request": fetched.body.decode(), "handle": reference.rpartition("/")[2]}
    assert b"oidc-request:" in on_disk(folder)
    assert readable(folder, secrets) == []
    await world.close()


async def test_a_session_opens_its_own_tokens_and_no_others(tmp_path: Path) -> None:
    world = await world_on(tmp_path / "store")
    ada, grace = world.browser(), world.browser()
    await world.log_in(ada)
    await world.log_in(grace, person="grace")
    sessions = world.app.useid.sessions
    mine = await sessions.load(ada.cookies["useid-session"])
    assert mine is not None
    assert await sessions.secret(mine, grace.cookies["useid-session"]) is None
    assert await sessions.secret(mine, mine.id) is None
    assert await sessions.secret(mine, ada.cookies["useid-session"]) is not None
    await world.close()
