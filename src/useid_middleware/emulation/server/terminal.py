"""The embedded server's own certificate: issued by its test PKI for our origin, renewed when it must be.

A terminal says where it may be met (``subject_url``) and names the TLS certificates that clients see there.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from ...errors import ConfigurationError
from ..pki import PKI, TerminalRequest, issue_terminal, new_pki, renew, request_of
from ..pki_files import NOTICE, create_pki, read_pki, write_pki
from .material import TERMINAL

logger: Final = logging.getLogger("useid_middleware")

#: A terminal's certificate is renewed so long before it expires.
MARGIN: Final = timedelta(days=2)
#: A folder has at most so many terminals.
MAX_TERMINALS: Final = 64
_NAME: Final = "TEST eID server of useid-middleware"


def prepare_pki(
    folder: Path,
    *,
    origin: str,
    tls_ders: Iterable[bytes],
    now: datetime,
    random: Callable[[int], bytes],
    name: str = TERMINAL,
) -> PKI:
    """The PKI in ``folder`` with a terminal of this name for ``origin`` that is valid; a new PKI if there is none.

    ``tls_ders`` are the TLS certificates that clients see, in DER; ``now`` is an aware date. One process at a time
    does this: workers that start together get the same. ``ConfigurationError`` if folder or files cannot be used.
    """
    with alone(folder):
        pki = _read_or_make(folder, now=now, random=random)
        if name not in pki.terminals and len(pki.terminals) >= MAX_TERMINALS:
            raise ConfigurationError(f"{folder}/terminals: expected fewer than {MAX_TERMINALS}; delete some")
        prepared = with_terminal(pki, origin=origin, tls_ders=tls_ders, now=now, random=random, name=name)
        if prepared is not pki:
            write_pki(folder, prepared)
            logger.info("issued a certificate for the embedded eID server in %s", folder)
        return prepared


def ensure_pki(folder: Path, *, now: datetime, random: Callable[[int], bytes]) -> None:
    """Make a PKI in ``folder`` if there is none: for who wants to put something beside it."""
    with alone(folder):
        _read_or_make(folder, now=now, random=random)


def with_terminal(
    pki: PKI,
    *,
    origin: str,
    tls_ders: Iterable[bytes],
    now: datetime,
    random: Callable[[int], bytes],
    name: str = TERMINAL,
) -> PKI:
    """The PKI with a terminal for ``origin`` and these TLS certificates, valid for two days or more; itself if so.

    A terminal that is there keeps its rights, its subject and its sectors; a new one has those of ``eid-server``.
    """
    soon = now.date() + MARGIN
    if pki.dv.certificate.says.expiration < soon:
        pki = renew(pki, now=now, random=random)
    terminal = pki.terminals.get(name)
    model = terminal or pki.terminals.get(TERMINAL)
    before = TerminalRequest(subject_name=_NAME) if model is None else request_of(model)
    hashes = tuple(sorted({sha256(each).digest() for each in tls_ders}))
    wanted = replace(before, subject_url=origin, tls_hashes=hashes)
    if terminal is not None and wanted == before and terminal.certificate.says.expiration >= soon:
        return pki
    return issue_terminal(pki, name, request=wanted, now=now, random=random)


def _read_or_make(folder: Path, *, now: datetime, random: Callable[[int], bytes]) -> PKI:
    if (folder / NOTICE).is_file():
        return read_pki(folder)
    made = new_pki(now=now, random=random)
    create_pki(folder, made)
    logger.warning("made a test PKI in %s: its keys are for development and test only", folder)
    return made


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Whoever else wants the PKI of this folder waits."""
    path = folder.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Closing gives the lock back.
        os.close(descriptor)
