"""Accounts, devices and passkeys that the tests of accounts share."""

from dataclasses import replace

from useid_middleware.accounts.base import Account, Accounts, DeviceKey, Passkey
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


def a_passkey(account: Account, number: int = 1, **changes: object) -> Passkey:
    byte = bytes([number])
    passkey = Passkey(
        id=f"passkey-{number}",
        account_id=account.id,
        credential_id=byte * 32,
        public_key=b"\xa5\x01\x02" + byte * 74,
        sign_count=0,
        user_handle=b"u" * 32,
        transports=("hybrid", "internal"),
        aaguid=byte * 16,
        label=f"Passkey {number}",
        is_discoverable=True,
        is_backup_eligible=True,
        is_backed_up=False,
        attestation_format="none",
        created_at=1_000.0 + number,
    )
    return replace(passkey, **changes)  # type: ignore[arg-type]
