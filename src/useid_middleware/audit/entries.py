"""Which events are in the audit log, and what of them: a table, and the entry that it makes of an event.

Ids are in the log, all of ours and good for nothing by themselves: accounts, sessions, phones, passkeys. People are
not: no names, no addresses, no pseudonyms of providers and cards, no attributes, no IP addresses; and no secrets.
"""

import re
from collections.abc import Mapping
from functools import reduce
from typing import Final

from ..events import (
    AttemptRefused,
    BackchannelLogout,
    DeviceEnrolled,
    DeviceRevoked,
    EIDApproved,
    EIDExpired,
    EIDLoginStarted,
    EIDRejected,
    EIDScanned,
    Event,
    FrontchannelLogout,
    LoginBound,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    PasskeyAdded,
    PasskeyRemoved,
    PreLogin,
    PreLogout,
    QRApproved,
    QRExpired,
    QRLoginStarted,
    QRRejected,
    QRScanned,
    SessionChanged,
    SessionEnded,
    TokenRefreshed,
    UserCreated,
    UserUpdated,
)
from ..identity import Level
from .chain import Data, Value

#: By event, the fields that an entry has; of ``a.b`` it has ``b``. All else stays out.
AUDITED: Final[Mapping[type[Event], tuple[str, ...]]] = {
    QRApproved: ("session_id", "device_id", "account_id"),
    QRRejected: ("session_id", "account_id", "reason"),
    EIDApproved: ("session_id",),
    EIDRejected: ("session_id", "reason", "minor"),
    LoginBound: ("session_id", "tenant"),
    UserCreated: ("account.id",),
    LoginSucceeded: ("identity.provider", "identity.level", "identity.amr", "identity.account_id"),
    LoginCompleted: ("account_id", "session_id", "level", "provider"),
    LoginFailed: ("code", "provider"),
    TokenRefreshed: ("session_id",),
    BackchannelLogout: ("issuer",),
    FrontchannelLogout: ("issuer",),
    SessionChanged: ("account_id", "session_id", "reason"),
    SessionEnded: ("account_id", "session_id", "reason"),
    DeviceEnrolled: ("account_id", "device_id"),
    DeviceRevoked: ("account_id", "device_id"),
    PasskeyAdded: ("account_id", "passkey_id"),
    PasskeyRemoved: ("account_id", "passkey_id"),
    AttemptRefused: ("flow", "code", "session_id"),
}
#: Nobody is more or less trusted after these. Anybody can cause them, as often as the limits allow.
NOT_AUDITED: Final[frozenset[type[Event]]] = frozenset(
    {
        QRLoginStarted,
        QRScanned,
        QRExpired,
        EIDLoginStarted,
        EIDScanned,
        EIDExpired,
        PreLogin,
        PreLogout,
        UserUpdated,
    }
)
#: What the members are called where the event calls them otherwise.
NAMES: Final = {"account.id": "account_id"}

#: Ids, codes and addresses of providers. An email address is none, and neither is a sentence.
_WORD: Final = re.compile(r"[\w.:/#%?=&+~\[\]-]{0,200}", re.ASCII).fullmatch
_OTHER: Final = "(other)"


def entry_data(event: Event, fields: tuple[str, ...]) -> Data:
    """What the entry of an event tells: these fields of it."""
    return {
        NAMES.get(field, field.rpartition(".")[2]): _value(reduce(getattr, field.split("."), event)) for field in fields
    }


def _value(value: object) -> Value:
    if isinstance(value, Level):
        return value.name
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, tuple):
        return [_word(str(each)) for each in value]
    return _word(str(value))


def _word(text: str) -> str:
    return text if _WORD(text) else _OTHER
