"""The terminals in the folder of a PKI that all workers share, one for each origin at which clients meet us."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ...errors import ConfigurationError
from ...stores.base import Clock
from ..pki_files import read_pki
from .material import TERMINAL, ServerMaterial, material_of
from .terminal import MARGIN, MAX_TERMINALS, alone, prepare_pki

#: Where clients meet us as long as nobody says so.
_UNKNOWN_ORIGIN: Final = "https://localhost"
_NOT_IN_A_NAME: Final = re.compile("[^a-z0-9]+")


class FolderTerminals:
    """See :class:`~.material.Terminals`.

    ``origin`` is the configured one, whose terminal is ``eid-server``; with ``None``, each origin that is asked for
    gets a terminal of its own (a server without an origin answers on this machine alone). ``tls_certificates`` are
    files (PEM or DER) of the TLS certificates that clients see. Folder and files are read when first needed, and again
    when something has changed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        origin: str | None,
        tls_certificates: Sequence[Path],
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self.folder = folder
        self._origin = origin
        self._tls_certificates = tuple(tls_certificates)
        self._clock = clock
        self._random = random
        self._by_origin: dict[str, ServerMaterial] = {}
        self._by_name: dict[str, ServerMaterial] = {}
        self._tls_versions: tuple[float, ...] = ()

    async def for_origin(self, origin: str = "") -> ServerMaterial:
        """See :meth:`~.material.Terminals.for_origin`; ``ConfigurationError`` if the PKI cannot be used."""
        origin = self._origin or origin or _UNKNOWN_ORIGIN
        versions = tuple(map(_version, self._tls_certificates))
        if versions != self._tls_versions or len(self._by_name) > MAX_TERMINALS:
            self._by_origin.clear()
            self._by_name.clear()
            self._tls_versions = versions
        now = datetime.fromtimestamp(self._clock(), UTC)
        found = self._by_origin.get(origin)
        if found is None or found.terminal.says.expiration < now.date() + MARGIN:
            found = await asyncio.to_thread(self._prepare, origin, now)
            self._by_origin[origin] = self._by_name[found.reference] = found
        return found

    async def named(self, reference: str) -> ServerMaterial | None:
        """See :meth:`~.material.Terminals.named`."""
        found = self._by_name.get(reference)
        if found is None:
            found = await asyncio.to_thread(self._read, reference)
            if found is not None:
                self._by_name[reference] = found
        return found

    def _prepare(self, origin: str, now: datetime) -> ServerMaterial:
        name = TERMINAL
        if origin not in (self._origin, _UNKNOWN_ORIGIN):
            name = f"{TERMINAL}-{_NOT_IN_A_NAME.sub('-', origin.lower()).strip('-')}"
        tls_ders = [read_tls_certificate(each) for each in self._tls_certificates]
        pki = prepare_pki(self.folder, origin=origin, tls_ders=tls_ders, now=now, random=self._random, name=name)
        return material_of(pki, terminal=name)

    def _read(self, reference: str) -> ServerMaterial | None:
        with alone(self.folder):
            pki = read_pki(self.folder)
        for name, terminal in pki.terminals.items():
            if terminal.certificate.says.holder_reference.decode("latin-1") == reference:
                return material_of(pki, terminal=name)
        return None


def read_tls_certificate(path: Path) -> bytes:
    """The first certificate in a file, in DER; ``ConfigurationError`` if there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"TLS certificate: {path}: {error.strerror}") from None
    load = x509.load_pem_x509_certificate if b"-----BEGIN" in content else x509.load_der_x509_certificate
    try:
        return load(content).public_bytes(Encoding.DER)
    except ValueError:
        raise ConfigurationError(f"TLS certificate: {path}: expected an X.509 certificate in PEM or DER") from None


def _version(path: Path) -> float:
    """What changes when the file does; 0 while it cannot be read."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
