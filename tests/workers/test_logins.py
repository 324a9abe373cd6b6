"""Nine workers over one Redis and one database: a login of each kind, of which every call hits another worker."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.workers.fleet import Fleet
from tests.workers.logins import LOGINS, Attempt, assurance_of, enrol
from tests.workers.people import Visit
from tests.workers.steps import STEPS, step_of
from tests.workers.town import opened_fleet

#: A worker for each step of the longest login, and one for what is no step.
SIZE = 1 + max(len(steps) for steps in STEPS.values())
NO_STEP = 0
KINDS = [login for login in LOGINS if login != "qr-known"]


@pytest.fixture(scope="module")
async def fleets(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, accounts: str, country: Path
) -> AsyncIterator[dict[str, Fleet]]:
    """The workers, by the assurance of logins by QR."""
    made = {}
    async with AsyncExitStack() as stack:
        for assurance in ("L1", "L2"):
            values = {"qr": {"assurance": assurance}, "key_prefix": f"workers-{assurance.lower()}:"}
            folder = tmp_path_factory.mktemp("fleet")
            opened = opened_fleet(folder, size=SIZE, store=redis_url, accounts=accounts, pki=country, **values)
            made[assurance] = await stack.enter_async_context(opened)
        yield made


@pytest.fixture
def login() -> str:
    """The kind of login; tests have others by a parameter."""
    return "qr"


@pytest.fixture
async def visit(fleets: dict[str, Fleet], country: Path, login: str) -> AsyncIterator[Visit]:
    """Somebody's login."""
    made = Visit(fleets[assurance_of(login)], country)
    yield made
    await made.close()


@pytest.mark.parametrize("login", KINDS)
async def test_no_two_calls_of_a_login_in_a_row_hit_the_same_worker(visit: Visit, login: str) -> None:
    member = await enrol(visit, login)
    served = len(visit.turns.served)
    await LOGINS[login](Attempt(visit, member))
    calls = visit.turns.served[served:]
    assert len(calls) >= 3
    # Of any nine calls, each was answered by another worker.
    for start in range(len(calls) - 1):
        of_these = [call.worker for call in calls[start : start + SIZE]]
        assert len(set(of_these)) == len(of_these)
    assert "Traceback" not in visit.fleet.log()


@pytest.mark.parametrize("login", KINDS)
async def test_each_step_of_a_login_has_a_worker_that_gets_nothing_else_of_it(visit: Visit, login: str) -> None:
    worker_for = {step: number for number, step in enumerate(STEPS[login], start=1)}
    visit.turns.pinned = lambda method, path: worker_for.get(step_of(method, path), NO_STEP)
    member = await enrol(visit, f"{login}-by-steps")
    await LOGINS[login](Attempt(visit, member))
    workers: defaultdict[str, set[int]] = defaultdict(set)
    for call in visit.turns.served:
        workers[step_of(call.method, call.path)].add(call.worker)
    # What is no step has enrolled the member, and asked who is logged in.
    assert workers.keys() == {"", *STEPS[login]}
    assert all(len(each) == 1 for each in workers.values()), workers
    assert len(set.union(*workers.values())) == len(workers), workers
    assert "Traceback" not in visit.fleet.log()


async def test_a_browser_that_one_worker_got_to_know_is_known_to_all(visit: Visit) -> None:
    member = await enrol(visit, "carol")
    first = Attempt(visit, member)
    await first.by_qr()
    member.known = first.desktop.cookies["useid-browser"]
    again = Attempt(visit, member)
    await again.by_qr(known=True)
    assert again.page is not None
    assert [told.get("codeRequired") for told in again.page.told if told["status"] == "approved"] == [False]
