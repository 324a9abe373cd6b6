"""``useid demo`` as ``make demo`` runs it: it serves localhost at both loopback addresses, and says what it serves."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.servers import free_port
from tests.serving import ROOT, STOP_LIMIT
from useid_middleware.emulation.pki_files import NOTICE

PAGE = {"accept": "text/html"}
PROGRAM = "import sys; from useid_middleware.cli import main; sys.exit(main())"


def environment() -> dict[str, str]:
    """Of whoever runs the tests, without what they configure."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("USEID_", "HARBOUR_"))}
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path)), "PYTHONUNBUFFERED": "1"}


@dataclass
class Demo:
    """A demo that runs. ``said`` is all that it says before it serves."""

    process: subprocess.Popen[str]
    port: int
    provider_port: int
    said: str

    def get(self, path: str, *, host: str = "localhost", **headers: str) -> httpx2.Response:
        """What it answers; a connection waits in the socket's queue until it serves."""
        return httpx2.get(f"http://{host}:{self.port}{path}", headers=headers, timeout=60)

    def post(self, path: str, body: object) -> httpx2.Response:
        """As a page of its own posts."""
        return httpx2.post(f"http://localhost:{self.port}{path}", json=body, timeout=60)


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Demo]:
    """A demo in this folder, ended afterwards by its process id."""
    port, provider_port = free_port(), free_port()
    command = [sys.executable, "-c", PROGRAM, "demo", "--port", str(port), "--provider-port", str(provider_port)]
    process = subprocess.Popen(
        [*command, *options], cwd=folder, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = ""
    # It listens before it says so, and its last words are about real cards.
    while line := process.stdout.readline():
        said += line
        if "real AusweisApp" in line:
            break
    else:
        process.wait()
        raise RuntimeError(f"the demo did not start:\n{said}")
    try:
        yield Demo(process, port, provider_port, said)
    finally:
        process.terminate()
        process.communicate(timeout=STOP_LIMIT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demos of this module keep their data and their PKI."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    """The demo without any option."""
    with running(folder) as demo:
        yield demo


def test_it_says_where_it_is_and_answers_there(demo: Demo) -> None:
    assert f"Open http://localhost:{demo.port} on this computer" in demo.said, demo.said
    assert f"The test OpenID provider is at http://localhost:{demo.provider_port}." in demo.said
    assert "Welcome ashore" in demo.get("/").text
    assert demo.get("/phone/").status_code == 200


def test_its_data_is_where_it_was_started(demo: Demo, folder: Path) -> None:
    demo.get("/")
    assert (folder / "useid.db").is_file()
    assert (folder / "useid-pki" / NOTICE).is_file()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_whatever_a_program_takes_localhost_for_it_is_there(demo: Demo, family: socket.AddressFamily) -> None:
    if family == socket.AF_INET6:
        try:
            socket.create_server(("::1", 0), family=family).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
    host = "127.0.0.1" if family == socket.AF_INET else "[::1]"
    assert demo.get("/login", host=host).status_code == 200
    answer = demo.get("/login?next=/vault", host=host, **PAGE)
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        f"http://localhost:{demo.port}/login?next=/vault",
    )


def test_it_has_passkeys_there(demo: Demo) -> None:
    assert "<useid-passkey" in demo.get("/login").text
    options = demo.post("/auth/passkeys/login/options", {}).json()["options"]
    assert options["rpId"] == "localhost"


def test_the_provider_is_of_the_same_site_and_known_to_the_app(demo: Demo) -> None:
    issuer = f"http://localhost:{demo.provider_port}"
    known = httpx2.get(f"{issuer}/.well-known/openid-configuration", timeout=60).json()
    assert known["issuer"] == issuer
    answer = demo.get("/auth/login?provider=demo", **PAGE)
    assert answer.headers["location"].startswith(f"{issuer}/authorize?")


def test_its_pages_find_the_emulated_phones(demo: Demo) -> None:
    found = re.search(r"its phone is at (http://127\.0\.0\.1:\d+/)\n", demo.said)
    assert found is not None
    page = demo.get("/login").text
    assert '<script type="module" src="/phone/hybrid.js"></script>' in page
    assert f'<meta name="useid-demo-authenticator" content="{found[1]}authenticator">' in page
    assert f"href='{found[1]}'" in demo.get("/id-card").text


def test_without_further_words_a_login_by_phone_is_not_bound(demo: Demo) -> None:
    assert "make demo BOUND=1" in demo.said
    assert "refreshOrigins" not in demo.post("/auth/session/create", {}).json()
    assert demo.post("/auth/eid/start", {}).json()["mode"] == "standard"
    assert demo.post("/auth/eid/start", {"mode": "bound"}).json()["mode"] == "bound"


def test_bound_it_asks_phones_for_their_passkey(folder: Path) -> None:
    with running(folder, "--bound") as demo:
        assert "this computer asks for the phone's passkey" in demo.said
        created = demo.post("/auth/session/create", {}).json()
        assert created["assurance"] == "L2"
        assert created["refreshOrigins"] == [f"http://localhost:{demo.port}"]
        assert demo.post("/auth/eid/start", {}).json()["mode"] == "bound"
        assert "asks for the phone’s passkey" in demo.get("/login").text
        modes = re.findall(r"mode=([\w-]+)\"", demo.get("/id-card").text)
        assert modes == ["bound", "same-device"]


def test_it_ends_well_with_ctrl_c(folder: Path) -> None:
    with running(folder) as demo:
        demo.get("/")
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(STOP_LIMIT) == 0


@pytest.mark.parametrize("taken", ["--port", "--provider-port"])
def test_a_port_that_somebody_has_is_one_line_and_status_1(folder: Path, taken: str) -> None:
    ports = {"--port": free_port(), "--provider-port": free_port()}
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports[taken] = other.getsockname()[1]
        options = [word for name, port in ports.items() for word in (name, str(port))]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "demo", *options],
            cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    line = f"configuration_error: port {ports[taken]} of 127.0.0.1: Address already in use; choose another\n"
    assert done.stderr == line
