"""Processes of Redis and its kin, each in a folder and on a port of its own: to be killed, stopped, started again."""

import contextlib
import datetime
import ipaddress
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import PATIENCE, free_port

#: The name, and the password, of the user that tests and servers among themselves have where there are users.
TEST_USER = "test"


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as ``condition`` holds: for what other processes bring about in their own time."""
    deadline = time.monotonic() + 2 * PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the servers did not get there")
        time.sleep(0.02)


def program(name: str, package: str) -> str:
    """The program's path, or the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return path


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority's certificate, and one for this machine, with its key."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def query(self) -> str:
        """What a store's URL says of them."""
        return f"ssl_ca_certs={self.authority}&ssl_certfile={self.certificate}&ssl_keyfile={self.key}"

    @property
    def client(self) -> dict[str, Any]:
        """What the client of a test says of them."""
        files = {"ssl_ca_certs": self.authority, "ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        return {"ssl": True} | {name: str(path) for name, path in files.items()}

    @classmethod
    def make(cls, folder: Path) -> "Certificates":
        """Make them; they hold for a day."""
        authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        authority = _certificate("test authority", authority_key, "test authority", authority_key, is_authority=True)
        certificate = _certificate("127.0.0.1", key, "test authority", authority_key, is_authority=False)
        made = cls(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
        made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pkcs8, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, no_password))
        return made


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(issued_by, critical=False)
    if is_authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(here, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


class RedisProcess:
    """A server, a replica, a Sentinel or a cluster's node, at an address that stays when it is started again."""

    def __init__(
        self,
        folder: Path,
        *,
        options: Iterable[str] = (),
        tls: Certificates | None = None,
        users: Iterable[str] = (),
        executable: str = "redis-server",
        package: str = "redis-server",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._executable = program(executable, package)
        self.tls = tls
        self._login: dict[str, Any] = {}
        self.options = [*self._listening(folder), *options]
        if users:
            # Lines of an ACL file. The default user is gone then, and the test has one of its own.
            file = folder / "users.acl"
            file.write_text(
                "\n".join(["user default off", f"user {TEST_USER} on >{TEST_USER} ~* &* +@all", *users]) + "\n"
            )
            self.options += ["--aclfile", str(file)]
            self._login = {"username": TEST_USER, "password": TEST_USER}
        self._config = folder / "redis.conf"
        self._config.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        command = [self._executable, str(self._config), *self.options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._process = process
        assert process.stdout is not None
        said = b""
        for line in process.stdout:
            said += line
            if b"Ready to accept connections" in line or b"Sentinel ID is" in line:
                break
        else:
            process.stdout.close()
            self.end()
            raise RuntimeError(f"{self._executable} did not start:\n{said.decode(errors='replace')}")
        # It goes on talking, and must never have to wait for a reader.
        threading.Thread(target=_swallow, args=(process,), daemon=True).start()

    def end(self) -> None:
        """End the process in an orderly way. Does nothing when it has ended."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            self._wait()

    def kill(self) -> None:
        """End the process on the spot."""
        if self._process is not None:
            self._process.kill()
            self._wait()

    def stop(self) -> None:
        """Let it stand still: connections stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it stood."""
        self._signal(signal.SIGCONT)

    def client(self, **options: Any) -> "redis.Redis":
        """A client of it, for the test."""
        tls = self.tls.client if self.tls is not None else {}
        return redis.Redis(port=self.port, host="127.0.0.1", **tls, **self._login, **options)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)

    def _wait(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _listening(self, folder: Path) -> list[str]:
        options = ["--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no"]
        if self.tls is None:
            return [*options, "--port", str(self.port)]
        files = ["--tls-ca-cert-file", self.tls.authority, "--tls-cert-file", self.tls.certificate]
        files += ["--tls-key-file", self.tls.key]
        return [*options, "--port", "0", "--tls-port", str(self.port), *map(str, files), "--tls-replication", "yes"]


def _swallow(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError), process.stdout:
        for _ in process.stdout:
            pass
