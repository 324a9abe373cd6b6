"""Five workers over one Redis and one database: a login of each kind, of which every call hits another worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.workers.faults import step_of
from tests.workers.fleet import Fleet
from tests.workers.logins import LOGINS, Attempt, assurance_of, enrol
from tests.workers.people import Visit
from tests.workers.town import opened_fleet

SIZE = 5


@pytest.fixture(scope="module")
async def fleet(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_url: str,
    accounts: str,
    country: Path,
) -> AsyncIterator[Fleet]:
    """The workers; a parameter says at which assurance of logins by QR."""
    values = {"qr": {"assurance": request.param}, "key_prefix": f"workers-{request.param.lower()}:"}
    folder = tmp_path_factory.mktemp("fleet")
    async with opened_fleet(folder, size=SIZE, store=redis_url, accounts=accounts, pki=country, **values) as made:
        yield made


@pytest.fixture
async def visit(fleet: Fleet, country: Path) -> AsyncIterator[Visit]:
    """Somebody's login."""
    made = Visit(fleet, country)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("fleet", "login"), [(assurance_of(login), login) for login in LOGINS if login != "qr-known"], indirect=["fleet"]
)
async def test_no_two_calls_of_a_login_in_a_row_hit_the_same_worker(visit: Visit, login: str) -> None:
    member = await enrol(visit, login)
    served = len(visit.turns.served)
    await LOGINS[login](Attempt(visit, member))
    calls = visit.turns.served[served:]
    assert len(calls) >= 3
    # Of any five calls, each was answered by another worker.
    for start in range(len(calls) - 1):
        of_these = [call.worker for call in calls[start : start + SIZE]]
        assert len(set(of_these)) == len(of_these)
    assert "Traceback" not in visit.fleet.log()


@pytest.mark.parametrize("fleet", ["L1"], indirect=True)
async def test_all_five_calls_of_a_login_by_qr_hit_five_workers(visit: Visit) -> None:
    member = await enrol(visit, "bob")
    await LOGINS["qr"](Attempt(visit, member))
    steps = [step_of(call.method, call.path) for call in visit.turns.served]
    wanted = ("create", "events", "scan", "approve", "claim")
    assert len({visit.turns.served[steps.index(step)].worker for step in wanted}) == SIZE


@pytest.mark.parametrize("fleet", ["L1"], indirect=True)
async def test_a_browser_that_one_worker_got_to_know_is_known_to_all(visit: Visit) -> None:
    member = await enrol(visit, "carol")
    first = Attempt(visit, member)
    await first.by_qr()
    member.known = first.desktop.cookies["useid-browser"]
    again = Attempt(visit, member)
    await again.by_qr(known=True)
    assert again.page is not None
    assert [told.get("codeRequired") for told in again.page.told if told["status"] == "approved"] == [False]
