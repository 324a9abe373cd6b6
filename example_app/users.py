"""The app's own users and passwords, as it had them before the plugin came. A real app keeps them in its database.

A real app also limits attempts; here the one account is public, and there is nothing to guess.
"""

import asyncio
from dataclasses import dataclass
from hashlib import scrypt
from hmac import compare_digest
from typing import Final


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """scrypt (RFC 7914) with N = 2^14, r = 8, p = 1: about 0.1 s and 16 MiB a try."""

    salt: bytes
    digest: bytes

    def matches(self, password: str) -> bool:
        """Whether it is the hash of ``password``; takes the same time for any."""
        return compare_digest(scrypt(password.encode(), salt=self.salt, n=2**14, r=8, p=1), self.digest)


_USERS: Final = {
    # The password is "wonderland".
    "alice": PasswordHash(
        bytes.fromhex("8d0d5b1f4a3c92e7b6a1f0539c7e2d48"),
        bytes.fromhex(
            "3207c79eee8b25780c906a0db68add507fd6f2cb6dfe7fe233bf4fce49224c84"
            "4176c5b09e15bcf1be27a560064167643bff6df126425f7013d22edef32670a0"
        ),
    )
}
#: Stands in for users that do not exist, so that the time of an answer does not tell names.
_NOBODY: Final = PasswordHash(salt=bytes(16), digest=bytes(64))


async def check_password(username: str, password: str) -> bool:
    """Whether this user exists and has this password. Hashing happens in a thread; the event loop goes on."""
    return await asyncio.to_thread(_USERS.get(username, _NOBODY).matches, password)
