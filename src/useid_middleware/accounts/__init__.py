"""Durable records: the verbs (``base``) and the places that keep them (``memory``, ``sql``)."""

from ..errors import ConfigurationError
from .base import Accounts
from .memory import MemoryAccounts
from .sql import SqlAccounts


def create_accounts(url: str) -> Accounts:
    """The accounts that ``url`` names; nothing is connected or created before ``open()``.

    ``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``postgresql://user@host/database``, which
    needs the extra ``[postgres]``. Raises ``ConfigurationError``.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return MemoryAccounts()
    if scheme in ("sqlite", "postgresql"):
        return SqlAccounts(url)
    raise ConfigurationError("accounts: must be sqlite:///useid.db, postgresql://user@host/database or memory://")
