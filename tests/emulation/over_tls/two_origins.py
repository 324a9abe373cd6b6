"""An eService and its eID server at two origins: the plugin with SOAP settings, and ``useid eid-server``."""

import json
import os
import socket
import ssl
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path
from typing import Final

from tests.ausweisapp.serving import Country
from tests.emulation.over_tls.site import OPTIONAL, REQUIRED
from tests.servers import PATIENCE, free_port
from tests.serving import Server
from useid_middleware.emulation.client.demo_tls import prepare_demo_tls

#: The last thing that it says before it listens.
_ABOUT_TO_LISTEN: Final = "it proves nothing about anybody"


class Service(Server):
    """The eService, over TLS."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.origin = f"https://localhost:{port}"
        self.certificate, key = prepare_demo_tls(folder / "tls")
        super().__init__("tests.emulation.over_tls.site:make_service", port=port, folder=folder, env={}, factory=True)
        self._command += ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(key)]
        self.trust = ssl.create_default_context(cafile=self.certificate)

    def configure(self, told: Mapping[str, str]) -> None:
        """Take the eID server's settings, as its user would."""
        self._env |= {
            "USEID_ORIGIN": self.origin,
            "USEID_STORE": "memory://",
            "USEID_ACCOUNTS": "memory://",
            "USEID_EID__REQUIRED": json.dumps(REQUIRED),
            "USEID_EID__OPTIONAL": json.dumps(OPTIONAL),
            "USEID_EID__KEEP": json.dumps(("GivenNames",)),
            **{f"USEID_EID__{name.upper()}": str(value) for name, value in told.items()},
        }


@contextmanager
def eid_server(folder: Path, *, service: Service) -> Iterator[Mapping[str, str]]:
    """``useid eid-server`` for this eService; the settings that it prints."""
    port, soap_port = free_port(), free_port()
    command = [str(Path(get_path("scripts")) / "useid"), "eid-server", "--port", str(port), "--pki", str(folder)]
    command += ["--soap-port", str(soap_port), "--subject-url", service.origin]
    command += ["--tls-certificate", str(service.certificate)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=_environment()
    )
    assert process.stdout is not None
    try:
        said = ""
        while _ABOUT_TO_LISTEN not in said:
            line = process.stdout.readline()
            assert line, f"the eID server did not start:\n{said}"
            said += line
        _wait_for(port, process)
        _wait_for(soap_port, process)
        yield tomllib.loads(said[said.index("[eid]") :].partition("\nthe embedded")[0])["eid"]
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def _environment() -> dict[str, str]:
    # The settings of whoever runs the tests must not reach it.
    return {name: value for name, value in os.environ.items() if not name.startswith("USEID_")}


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Knock until somebody opens, or nobody is there any more."""
    while True:
        try:
            socket.create_connection(("localhost", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            assert process.poll() is None, "the eID server has ended"
        else:
            return


@dataclass(frozen=True)
class Place:
    """Both, the settings that the eID server has printed, and where the cards come from."""

    service: Service
    told: Mapping[str, str]
    country: Country
