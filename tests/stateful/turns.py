"""A store and accounts that let other calls go first, as those over a network do, so that calls at once interleave."""

import asyncio
from collections.abc import Sequence
from random import Random

from useid_middleware import Account, Identity
from useid_middleware.accounts.base import DeviceKey, Passkey
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.stores.base import Bucket, Clock, Versioned
from useid_middleware.stores.memory import MemoryStore


class Turns:
    """Who goes first: drawn before each look at what is kept, while calls run at once; else nobody waits."""

    def __init__(self) -> None:
        self.drawn: Random | None = None

    async def wait(self) -> None:
        """Let the others have a few turns of the event loop."""
        if self.drawn is not None:
            for _ in range(self.drawn.choice((0, 0, 1, 1, 2, 5, 9))):
                await asyncio.sleep(0)


class CourteousStore(MemoryStore):
    """Each verb is atomic still; the others may come between two of them."""

    def __init__(self, turns: Turns, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._turns = turns

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        await self._turns.wait()
        return await super().put(key, value, ttl=ttl, indexes=indexes)

    async def get(self, key: str) -> Versioned | None:
        await self._turns.wait()
        return await super().get(key)

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        await self._turns.wait()
        return await super().replace(key, value, expected_version=expected_version, ttl=ttl, message=message)

    async def take(self, key: str) -> Versioned | None:
        await self._turns.wait()
        return await super().take(key)

    async def find(self, index: str) -> list[str]:
        await self._turns.wait()
        return await super().find(index)

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        await self._turns.wait()
        return await super().spend(buckets)

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        await self._turns.wait()
        return await super().occupy(key, slot=slot, lowest=lowest, highest=highest, limit=limit, ttl=ttl)

    async def vacate(self, key: str, slot: int) -> None:
        await self._turns.wait()
        await super().vacate(key, slot)


class CourteousAccounts(MemoryAccounts):
    """The same of accounts, for what logins ask them and what a user ends."""

    def __init__(self, turns: Turns, random: Random) -> None:
        super().__init__(
            new_id=lambda: random.randbytes(16).hex(),
            new_user_handle=lambda: random.randbytes(32),
            new_secret=lambda: random.randbytes(32),
        )
        self._turns = turns

    async def resolve(self, identity: Identity, *, now: float) -> tuple[Account, bool]:
        await self._turns.wait()
        return await super().resolve(identity, now=now)

    async def add_device(self, device: DeviceKey) -> bool:
        await self._turns.wait()
        return await super().add_device(device)

    async def device_by_key(self, key_id: bytes) -> DeviceKey | None:
        await self._turns.wait()
        return await super().device_by_key(key_id)

    async def revoke_device(self, account_id: str, device_id: str, *, now: float) -> bool:
        await self._turns.wait()
        return await super().revoke_device(account_id, device_id, now=now)

    async def remember_browser(self, account_id: str, browser_hash: bytes, *, now: float) -> None:
        await self._turns.wait()
        await super().remember_browser(account_id, browser_hash, now=now)

    async def forget_browsers(self, account_id: str) -> None:
        await self._turns.wait()
        await super().forget_browsers(account_id)

    async def passkey_by_credential(self, credential_id: bytes) -> Passkey | None:
        await self._turns.wait()
        return await super().passkey_by_credential(credential_id)

    async def remove_passkey(self, account_id: str, passkey_id: str) -> bool:
        await self._turns.wait()
        return await super().remove_passkey(account_id, passkey_id)

    async def use_passkey(
        self, passkey_id: str, *, expected_sign_count: int, sign_count: int, is_backed_up: bool, now: float
    ) -> bool:
        await self._turns.wait()
        return await super().use_passkey(
            passkey_id,
            expected_sign_count=expected_sign_count,
            sign_count=sign_count,
            is_backed_up=is_backed_up,
            now=now,
        )
