"""Logins under faults, and what has become of them: ``python -m tests.workers.fault_run`` prints the counts.

Each person meets one fault, in the first attempt that gets as far, and those of everybody who logs in at the same
moment. Who has to begin anew does so, as often as it takes.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import redis.asyncio

from tests.ausweisapp.serving import found_country
from tests.servers import RedisServer
from tests.workers.counts import FULL, Counts
from tests.workers.faults import Fault, LeftError, Trouble, What, draw_fault
from tests.workers.fleet import Fleet
from tests.workers.logins import LOGINS, Attempt, BeginAnewError, LostError, Member, assurance_of, enrol
from tests.workers.page import NotToldError
from tests.workers.people import Visit
from tests.workers.town import accounts_for_all, opened_fleet
from useid_middleware._codec import RecordType
from useid_middleware.sessions.records import Session
from useid_middleware.stores.redis import RedisStore

_WORKERS: Final = 3
_AT_ONCE: Final = 4
_MEMBERS: Final = 4
_PREFIX: Final = "faults:"
#: How often each kind of login comes, in twentieths.
_SHARES: Final = {
    "qr": 5,
    "qr-known": 5,
    "bound-qr": 3,
    "eid-integrated": 2,
    "eid-bound": 2,
    "eid-same-device": 1,
    "oidc": 1,
    "passkey": 1,
}
#: Longer than anything lives (s): a login session, and everything about a login under way.
_AGE: Final = 8 * 86400
_FINAL: Final = ("rejected", "expired", "claimed")


@dataclass(frozen=True)
class Plan:
    """Who logs in how, and what happens then."""

    number: int
    login: str
    fault: Fault


def plans_of(logins: int, seed: int, *, among: Collection[What] = tuple(What)) -> list[Plan]:
    """As many as are asked for, always the same for a seed."""
    random = Random(seed)
    kinds = random.choices(list(_SHARES), list(_SHARES.values()), k=logins)
    return [Plan(number, kind, draw_fault(kind, random, among=among)) for number, kind in enumerate(kinds)]


class Run:
    """The logins of one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        assurance: str,
        pki: Path,
        cutter: "redis.asyncio.Redis",
        counts: Counts,
        at_once: int,
    ) -> None:
        self._fleet = fleet
        self._assurance = assurance
        self._pki = pki
        self._cutter = cutter
        self._counts = counts
        self._gate = asyncio.Semaphore(at_once)
        self._attempts: list[tuple[Visit, Attempt]] = []
        #: How many sessions each address may have, and must have.
        self._expected: dict[str, tuple[int, int]] = {}

    async def carry_out(self, plans: Sequence[Plan]) -> None:
        """Everybody logs in; then everything is looked at."""
        try:
            members = [await self._member(number) for number in range(_MEMBERS)]
            async with asyncio.TaskGroup() as people:
                for plan in plans:
                    people.create_task(self._person(plan, members[plan.number % _MEMBERS]))
            self._fleet.spare()
            self._counts.kills += self._fleet.kills
            self._counts.deaths += self._fleet.deaths()
            await self._count_sessions()
            await self._look_for_what_never_ends()
        finally:
            for visit, _ in self._attempts:
                await visit.close()
            self._counts.log += self._fleet.log()

    async def _member(self, number: int) -> Member:
        visit = Visit(self._fleet, self._pki)
        try:
            # Accounts outlive a run.
            member = await enrol(visit, f"member-{number}-{secrets.token_hex(8)}")
            if self._assurance == "L1":
                first = Attempt(visit, member)
                await first.by_qr()
                member.known = first.desktop.cookies["useid-browser"]
        finally:
            await visit.close()
        return member

    async def _person(self, plan: Plan, member: Member) -> None:
        async with self._gate:
            self._counts.logins += 1
            has_met = False
            for number in range(20):
                visit, attempt, trouble = self._begin(plan, member, has_met=has_met)
                try:
                    await LOGINS[plan.login](attempt)
                except BeginAnewError as error:
                    self._counts.anew[str(error)] += 1
                    self._end(visit, attempt, sessions=(0, 1))
                except LeftError:
                    self._counts.left += 1
                    self._end(visit, attempt, sessions=(0, 1))
                    break
                except (LostError, NotToldError) as error:
                    self._counts.lost.append(f"lost: {plan}, attempt {number + 1}: {error}")
                    self._end(visit, attempt, sessions=(0, 1))
                    break
                else:
                    self._end(visit, attempt, sessions=(1, 1))
                    break
                finally:
                    if await trouble.over():
                        self._counts.hits[plan.fault.what, plan.fault.step] += 1
                    has_met = has_met or trouble.has_come
            else:
                self._counts.lost.append(f"lost: {plan}: had to begin anew again and again")

    def _begin(self, plan: Plan, member: Member, *, has_met: bool) -> tuple[Visit, Attempt, Trouble]:
        number = self._counts.attempts
        self._counts.attempts += 1
        # An address for each attempt, by which its sessions are known.
        visit = Visit(self._fleet, self._pki, address=f"127.1.{number // 250}.{1 + number % 250}")
        trouble = Trouble(plan.fault, fleet=self._fleet, turns=visit.turns, cutter=self._cutter)
        if not has_met:
            visit.turns.sent = trouble
        attempt = Attempt(visit, member)
        self._attempts.append((visit, attempt))
        return visit, attempt, trouble

    def _end(self, visit: Visit, attempt: Attempt, *, sessions: tuple[int, int]) -> None:
        visit.turns.sent = lambda _: None
        self._expected[visit.address] = sessions
        if attempt.page is not None and attempt.page.doubled:
            self._counts.doubled.append(f"doubled: {attempt.page.doubled} events of {attempt.path}")

    async def _count_sessions(self) -> None:
        found = Counter(session.ip for session in await sessions_in(self._fleet.store, self._cutter))
        for address, (least, most) in self._expected.items():
            number = found[address]
            if number > most:
                self._counts.doubled.append(f"doubled: {number} sessions of {address}")
            elif number < least:
                self._counts.lost.append(f"lost: the session of {address}")
            elif not least:
                self._counts.orphans += number

    async def _look_for_what_never_ends(self) -> None:
        """When all deadlines are over nothing waits any more, and when everything has had its time Redis is empty."""
        self._fleet.move_clocks(3600)
        for _, attempt in self._attempts:
            status = await attempt.status() if attempt.path else {}
            if status.get("status", "expired") not in _FINAL:
                self._counts.stuck.append(f"stuck: {attempt.path} is {status['status']}")
        self._fleet.move_clocks(0)
        keys = [key async for key in self._cutter.scan_iter("*")]
        for key in keys:
            left = await self._cutter.pttl(key)
            # As if Redis' own clock went ahead; what has no end stays.
            if left >= 0:
                await self._cutter.pexpire(key, left - 1000 * _AGE)
        self._counts.stuck += [f"stuck: {key.decode()} in Redis" async for key in self._cutter.scan_iter("*")]


async def sessions_in(store_url: str, client: "redis.asyncio.Redis") -> list[Session]:
    """All login sessions in a store."""
    store, records = RedisStore(store_url, key_prefix=_PREFIX), RecordType(Session)
    prefix = f"{_PREFIX}v:"
    await store.open()
    try:
        keys = [key.decode().removeprefix(prefix) async for key in client.scan_iter(f"{prefix}session:*")]
        found = [await store.get(key) for key in keys]
    finally:
        await store.close()
    return [records.decode(each.value) for each in found if each is not None]


async def run_faults(
    folder: Path, *, plans: Sequence[Plan], server: RedisServer, accounts: str, at_once: int = _AT_ONCE
) -> Counts:
    """The whole run: with a fleet at L1, and with one at L2 for the logins that need it."""
    counts = Counts()
    pki = found_country(folder / "pki", generations=1).folder
    # One connection, so that it never cuts one of its own.
    async with redis.asyncio.Redis.from_url(server.url, single_connection_client=True) as cutter:
        for assurance in ("L1", "L2"):
            mine = [plan for plan in plans if assurance_of(plan.login) == assurance]
            place = folder / assurance
            place.mkdir()
            values: dict[str, Any] = {"qr": {"assurance": assurance}, "key_prefix": _PREFIX}
            opened = opened_fleet(place, size=_WORKERS, store=server.url, accounts=accounts, pki=pki, **values)
            async with opened as fleet:
                run = Run(fleet, assurance=assurance, pki=pki, cutter=cutter, counts=counts, at_once=at_once)
                await run.carry_out(mine)
    return counts


def main() -> int:
    """The command: its status is 0 when nothing was lost, doubled or stuck, although enough was killed and cut."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logins", type=int, default=FULL, help="as many faults as logins")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="for the same plan again")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name, accounts_for_all(Path(name)) as accounts:
        folder = Path(name)
        server = RedisServer(folder)
        server.start()
        try:
            plans = plans_of(options.logins, options.seed)
            counts = asyncio.run(run_faults(folder, plans=plans, server=server, accounts=accounts))
        finally:
            server.stop()
    failures = counts.failures()
    print("\n".join([*counts.lines(), *failures]))
    if "Traceback" in counts.log:
        print(counts.log)
    return 1 if failures or "Traceback" in counts.log else 0


if __name__ == "__main__":
    sys.exit(main())
