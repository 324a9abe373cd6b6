"""Accounts and devices that the tests of accounts share."""

from dataclasses import replace

from useid_middleware.accounts.base import Account, Accounts, DeviceKey
from useid_middleware.identity import Identity

ALICE = Identity("host", "alice", username="Alice")
BOB = Identity("host", "bob", username="Bob")


async def account_of(accounts: Accounts, identity: Identity) -> Account:
    return (await accounts.resolve(identity, now=1_000.0))[0]


def a_device(account: Account, number: int = 1, **changes: object) -> DeviceKey:
    byte = bytes([number])
    device = DeviceKey(
        id=f"device-{number}",
        key_id=byte * 16,
        account_id=account.id,
        public_key=byte * 32,
        label=f"Phone {number}",
        created_at=1_000.0 + number,
    )
    return replace(device, **changes)  # type: ignore[arg-type]
