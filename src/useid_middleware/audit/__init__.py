"""The audit log: security events, one line each, chained by hashes (``chain``, ``file``, ``recording``)."""

from .recording import Audit as Audit
from .recording import audit_of as audit_of
