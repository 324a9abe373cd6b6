"""The end of every way to log in: an account, the listeners' say, and a session under a new id."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from tests.actors import Browser
from tests.qr.conftest import Clock, make_settings
from useid_middleware import (
    Event,
    Events,
    Identity,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    Refuse,
    SessionEnded,
    UseID,
    UserCreated,
    UserUpdated,
)
from useid_middleware.errors import AuthenticationError, RefusedError, RequestError, UnavailableError
from useid_middleware.events import Answered
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.sessions.records import Login
from useid_middleware.stores.memory import MemoryStore

BARE = Identity("host", "alice", username="alice")
TOLD = Identity(
    "https://sso.example",
    "ada-1815",
    username="ada",
    claims={"email": "ada@example.com"},
    roles=("staff",),
    secret=b"tokens",
    sid="sid-1",
)


class House:
    """The services without an app in front."""

    def __init__(self, *, store: MemoryStore | None = None) -> None:
        self.clock, self.events = Clock(), Events()
        self.heard: list[Event] = []
        self.useid = UseID(make_settings(), self.events, store=store, clock=self.clock)
        self.events.on(Event)(self.heard.append)

    async def log_in(self, identity: Identity, *, cookie: str = "", target: str = "", new_target: str = "") -> Login:
        """A login in a request that may bring a session already."""
        cookies = {"useid-session": cookie} if cookie else {}
        scope = Browser(nothing, cookies=cookies).scope("GET", "/", {})
        return await self.useid.log_in(scope, identity, target=target, new_target=new_target)

    def told(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.heard if type(event) is kind]


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """No app."""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.useid.start()
    yield house
    await house.useid.stop()


async def test_the_first_login_makes_the_account_and_the_second_finds_it(house: House) -> None:
    first, second = await house.log_in(TOLD), await house.log_in(TOLD)
    assert first.session.account_id == second.session.account_id
    assert (first.session.is_new_account, second.session.is_new_account) == (True, False)
    assert first.session.id != second.session.id
    assert len(house.told(UserCreated)) == len(house.told(UserUpdated)) == 1


async def test_what_the_provider_tells_becomes_the_accounts(house: House) -> None:
    login = await house.log_in(TOLD)
    account = await house.useid.accounts.get(login.session.account_id)
    assert account is not None
    assert (account.username, account.email, account.roles) == ("ada", "ada@example.com", ("staff",))
    assert login.session.roles == ("staff",)


async def test_who_is_told_nothing_of_changes_nothing_of_the_account(house: House) -> None:
    login = await house.log_in(BARE)
    before = await house.useid.accounts.get(login.session.account_id)
    await house.log_in(Identity("host", "alice", username="somebody else"))
    assert await house.useid.accounts.get(login.session.account_id) == before
    assert house.told(UserUpdated) == []


@pytest.mark.parametrize(
    ("is_known", "goal"), [(False, "/welcome"), (True, "/wanted")], ids=["a new user", "a known one"]
)
async def test_a_new_user_goes_elsewhere_where_somebody_says_so(house: House, is_known: bool, goal: str) -> None:
    if is_known:
        await house.log_in(TOLD)
    assert (await house.log_in(TOLD, target="/wanted", new_target="/welcome")).target == goal
    assert (await house.log_in(TOLD, target="/wanted")).target == "/wanted"


async def test_the_session_that_the_request_brought_is_over_and_so_is_its_secret(house: House) -> None:
    old = await house.log_in(TOLD)
    new = await house.log_in(TOLD, cookie=old.token)
    sessions = house.useid.sessions
    assert await sessions.load(old.token) is None
    assert await sessions.secret(old.session, old.token) is None
    assert await sessions.load(new.token) is not None
    assert [(event.session_id, event.reason) for event in house.told(SessionEnded)] == [(old.session.id, "rotated")]


async def test_the_cookie_lasts_as_long_as_the_session_may(house: House) -> None:
    [(name, value)] = (await house.log_in(BARE)).headers
    assert name == b"set-cookie"
    assert value.endswith(b"; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800")


Change = Callable[[Any], None]


def refuse(event: Event) -> None:
    raise Refuse("no")


def answer(event: Any) -> None:
    event.response = PlainTextResponse("mine")


@pytest.mark.parametrize(
    ("kind", "listener", "error"),
    [(UserCreated, refuse, RefusedError), (LoginSucceeded, refuse, RefusedError), (LoginSucceeded, answer, Answered)],
)
async def test_a_login_that_is_not_to_be_leaves_nothing_behind(
    house: House, kind: type[Event], listener: Change, error: type[Exception]
) -> None:
    house.events.on(kind)(listener)
    with pytest.raises(error):
        await house.log_in(TOLD)
    assert await house.useid.accounts.find(TOLD.provider, TOLD.subject) is None
    assert await house.useid.sessions.of_subject(TOLD.provider, TOLD.subject) == []
    assert house.told(LoginCompleted) == []
    assert [event.code for event in house.told(LoginFailed)] == (["login_refused"] if error is RefusedError else [])


async def test_a_refused_login_leaves_the_session_that_was_there(house: House) -> None:
    old = await house.log_in(BARE)
    house.events.on(LoginSucceeded)(refuse)
    with pytest.raises(RefusedError):
        await house.log_in(TOLD, cookie=old.token)
    assert await house.useid.sessions.load(old.token) is not None


async def test_the_failure_of_a_refused_login_may_be_answered(house: House) -> None:
    house.events.on(LoginSucceeded)(refuse)
    house.events.on(LoginFailed)(answer)
    with pytest.raises(Answered):
        await house.log_in(TOLD)


async def test_roles_of_a_listener_are_the_sessions_and_not_the_accounts(house: House) -> None:
    @house.events.on(LoginSucceeded)
    def promote(event: LoginSucceeded) -> None:
        event.roles += ("night-shift",)

    login = await house.log_in(TOLD)
    account = await house.useid.accounts.get(login.session.account_id)
    assert account is not None
    assert (login.session.roles, account.roles) == (("staff", "night-shift"), ("staff",))


async def test_an_account_that_is_gone_is_nobodys(house: House) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await house.log_in(Identity("qr", "phone", account_id="gone"))
    assert caught.value.code == "login_refused"


class FullStore(MemoryStore):
    """Keeps no sessions."""

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See the store."""
        if key.startswith("session:"):
            raise UnavailableError("store_unavailable", "the store cannot be reached")
        return await super().put(key, value, ttl=ttl, indexes=indexes)


async def test_a_store_that_is_away_logs_nobody_in() -> None:
    house = House(store=FullStore(clock=Clock()))
    await house.useid.start()
    with pytest.raises(UnavailableError):
        await house.log_in(TOLD)
    assert house.told(LoginCompleted) == []
    await house.useid.stop()


async def test_a_wrong_request_of_a_listener_undoes_the_account_too(house: House) -> None:
    @house.events.on(LoginSucceeded)
    def fail(event: LoginSucceeded) -> None:
        raise RequestError("malformed_request", "a listener that asks for what nobody sent")

    with pytest.raises(RefusedError):
        await house.log_in(TOLD)
    assert await house.useid.accounts.find(TOLD.provider, TOLD.subject) is None
