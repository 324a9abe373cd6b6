"""Debian's nginx in front of an app: on a free port, in a folder of its own, with a certificate of a test CA."""

import os
import re
import shutil
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.servers import PATIENCE, free_port
from tests.test_docs import page

#: The address that nginx comes from, among those of this machine, so that the app can tell it from everybody else.
PROXY: Final = "127.0.0.10"
_BLOCKS: Final = re.compile(r"```nginx\n(.*?)```", re.DOTALL)


def documented(place: str) -> str:
    """The configuration that the how-to shows: for an app at ``/``, or below a path."""
    server, below = _BLOCKS.findall(page("howto/reverse-proxy.md"))
    if place == "/":
        return str(server)
    location = re.search(r"    location / \{.*?\n    \}\n", server, re.DOTALL)
    assert location is not None
    return str(server).replace(location[0], below)


class CA:
    """An authority, and the certificate that it signs for this machine."""

    def __init__(self, folder: Path) -> None:
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("Test CA")
        authority = _certificate(name, key, issuer=name, signer=key, is_authority=True)
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(_name("localhost"), leaf_key, issuer=name, signer=key, is_authority=False)
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"
        self.certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
        self.key.write_bytes(leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.trust = ssl.create_default_context(cadata=authority.public_bytes(Encoding.PEM).decode())


class Nginx:
    """An nginx with the documented configuration; what the tests change in that must be found there."""

    def __init__(self, folder: Path, ca: CA, *, place: str = "/") -> None:
        self.port = free_port()
        self.origin = f"https://localhost:{self.port}"
        self._folder = folder
        self._ca = ca
        self._place = place
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []

    def start(self, upstream: str) -> None:
        """Start in front of ``upstream`` (host and port), and return when it accepts connections."""
        server = documented(self._place)
        wanted = {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "server_name shop.example": "server_name localhost",
            "/etc/ssl/shop.example.pem": str(self._ca.certificate),
            "/etc/ssl/private/shop.example.key": str(self._ca.key),
            "http://127.0.0.1:8000": f"http://{upstream}",
            # Everybody here is this machine; the proxy is one of its addresses.
            "proxy_read_timeout": f"proxy_bind {PROXY};\n        proxy_read_timeout",
        }
        for text, replacement in wanted.items():
            assert text in server, text
            server = server.replace(text, replacement)
        config = self._folder / "nginx.conf"
        config.write_text(self._around(server))
        command = [program(), "-p", str(self._folder), "-c", str(config), "-e", "stderr"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        self._process = process
        settled = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(process.stderr, settled), daemon=True)
        self._reader.start()
        settled.wait(PATIENCE)
        if process.poll() is not None or not any("start worker process " in line for line in self._lines):
            self.stop()
            raise RuntimeError(f"nginx did not start:\n{self.log()}")

    def stop(self) -> None:
        """End the process. Does nothing when it is stopped already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()
        assert process.stderr is not None
        process.stderr.close()

    def log(self) -> str:
        """What it has said."""
        return "".join(self._lines)

    def _around(self, server: str) -> str:
        # A worker of root's would give up its rights, and then not reach the folder.
        user = "user root;" if os.getuid() == 0 else ""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "\n".join(f"{kind}_temp_path {self._folder / kind};" for kind in kinds)
        return f"""
{user}
daemon off;
worker_processes 1;
pid {self._folder / "nginx.pid"};
error_log stderr notice;
events {{}}
http {{
access_log off;
{paths}
{server}
}}
"""

    def _read(self, output: IO[str], settled: threading.Event) -> None:
        for line in output:
            self._lines.append(line)
            # It listens before it has workers.
            if "start worker process " in line:
                settled.set()
        settled.set()


def program() -> str:
    """The path of the nginx program."""
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip("nginx is not installed; on Debian: apt-get install nginx")
    return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if is_authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())
