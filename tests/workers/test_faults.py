"""Workers are killed and Redis' connections cut in the middle of logins: at chosen moments, and at random ones.

``USEID_FAULTS`` is the number of logins with random ones (240 for the full run, which ``make faults`` prints),
``USEID_SEED`` draws others.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import redis.asyncio

from tests.servers import RedisServer
from tests.workers.fault_run import plans_of, run_faults, sessions_in
from tests.workers.faults import CUTS
from tests.workers.fleet import Fleet
from tests.workers.logins import Attempt, BeginAnewError, Member, enrol, repeat
from tests.workers.people import Visit
from tests.workers.router import Served
from tests.workers.town import opened_fleet

PREFIX: Final = "faults:"
ADDRESS: Final = "127.2.0.1"
LOGINS: Final = int(os.environ.get("USEID_FAULTS", "40"))
#: With this one, 40 are of all kinds, each kind of fault comes five times and more, and so do those at approvals.
SEED: Final = int(os.environ.get("USEID_SEED", "45"))


@pytest.fixture(scope="module")
async def fleet(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, accounts: str, country: Path
) -> AsyncIterator[Fleet]:
    """Three workers."""
    folder = tmp_path_factory.mktemp("fleet")
    opened = opened_fleet(folder, size=3, store=redis_url, accounts=accounts, pki=country, key_prefix=PREFIX)
    async with opened as made:
        yield made


@pytest.fixture
async def visit(fleet: Fleet, country: Path) -> AsyncIterator[Visit]:
    """Somebody's login, from an address of their own."""
    made = Visit(fleet, country, address=ADDRESS)
    yield made
    await made.close()
    fleet.spare()


@pytest.fixture
async def member(fleet: Fleet, country: Path, request: pytest.FixtureRequest) -> AsyncIterator[Member]:
    """Somebody with a phone, whose browser is known."""
    visit = Visit(fleet, country)
    made = await enrol(visit, request.node.name)
    first = Attempt(visit, made)
    await first.by_qr()
    made.known = first.desktop.cookies["useid-browser"]
    yield made
    await visit.close()


async def sessions_of(fleet: Fleet, member: Member) -> int:
    """How many sessions somebody has from :data:`ADDRESS`."""
    async with redis.asyncio.Redis.from_url(fleet.store) as client:
        found = await sessions_in(fleet.store, client)
    return len([each for each in found if each.ip == ADDRESS and each.username == member.name])


async def test_an_approval_whose_worker_dies_before_it_answers_still_logs_in(
    fleet: Fleet, visit: Visit, member: Member
) -> None:
    kills = fleet.kills
    fleet.doom("QRApproved")
    await Attempt(visit, member).by_qr(known=True)
    assert fleet.kills == kills + 1
    assert [call.path for call in visit.turns.served].count("/auth/approve") == 2
    assert await sessions_of(fleet, member) == 1


async def test_a_code_that_died_with_its_worker_leaves_an_approved_login_that_nobody_can_claim(
    fleet: Fleet, visit: Visit, member: Member
) -> None:
    attempt = Attempt(visit, member)
    fleet.doom("QRApproved")
    with pytest.raises(BeginAnewError, match="code"):
        await attempt.by_qr()
    claimed, _ = await repeat(lambda: attempt.desktop.post(f"{attempt.path}/claim", {}))
    assert claimed.code == "code_required"
    assert await sessions_of(fleet, member) == 0


@pytest.mark.parametrize(("event", "sessions"), [("LoginSucceeded", 0), ("LoginCompleted", 1)])
async def test_a_claim_whose_worker_dies_is_not_done_a_second_time(
    fleet: Fleet, visit: Visit, member: Member, event: str, sessions: int
) -> None:
    fleet.doom(event)
    with pytest.raises(BeginAnewError, match="session"):
        await Attempt(visit, member).by_qr(known=True)
    assert await sessions_of(fleet, member) == sessions


async def test_a_page_whose_worker_is_killed_while_the_phone_approves_is_told_once(
    fleet: Fleet, visit: Visit, member: Member
) -> None:
    killed: list[int] = []

    def kill_holder(served: Served) -> None:
        if served.path == "/auth/approve" and not killed:
            killed.append(visit.turns.worker_of("/events"))
            fleet.kill(killed[0])

    visit.turns.sent = kill_holder
    attempt = Attempt(visit, member)
    await attempt.by_qr(known=True)
    assert attempt.page is not None
    assert attempt.page.connections >= 2
    assert attempt.page.doubled == 0
    assert [each["status"] for each in attempt.page.told].count("approved") == 1


async def test_cut_connections_cost_nobody_anything(tmp_path: Path, redis_server: RedisServer, accounts: str) -> None:
    plans = plans_of(LOGINS // 2, SEED, among=CUTS)
    # One after the other: a call is sent once more, and not a third time when somebody else's cut hits that as well.
    counts = await run_faults(tmp_path, plans=plans, server=redis_server, accounts=accounts, at_once=1)
    assert (counts.lost, counts.doubled, counts.stuck) == ([], [], [])
    assert (counts.kills, counts.anew) == (0, {})
    # Who walks away may have been logged in just before.
    assert counts.orphans <= counts.left
    assert counts.cuts >= LOGINS * 5 // 12
    assert all(counts.of(what) for what in CUTS)
    assert counts.attempts == counts.logins == LOGINS // 2


async def test_random_faults_lose_nothing_double_nothing_and_leave_nothing(
    tmp_path: Path, redis_server: RedisServer, accounts: str
) -> None:
    plans = plans_of(LOGINS, SEED)
    counts = await run_faults(tmp_path, plans=plans, server=redis_server, accounts=accounts)
    print(f"seed {SEED}", *counts.lines(), sep="\n")
    assert counts.logins == LOGINS
    # Nothing lost, doubled or stuck, and as many kills and cuts as a full run has, for its size.
    assert counts.failures() == []
    assert "Traceback" not in counts.log
