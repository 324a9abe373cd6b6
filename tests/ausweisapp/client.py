"""AusweisApp2 in its production mode, trusting the tests' CVCA; and the person who answers its questions."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.emulation.card.ausweisapp import SDK
from tests.emulation.card.pcsc import PATIENCE
from tests.servers import free_port

PIN, CAN = "123456", "500540"

_PROGRAM = "AusweisApp2"
#: The last thing at its start. It listens before that, and never looks for readers for who comes then.
_READY = "Update cache entry: PCSC"
#: What it asks of a person, and what it says at the end.
_QUESTIONS = ("ACCESS_RIGHTS", "ENTER_PIN", "ENTER_CAN", "AUTH")


@dataclass(frozen=True)
class Person:
    """Who holds the card. ``pins`` are typed one after the other; ``cancels_at`` is the question that is too much."""

    pins: tuple[str, ...] = (PIN,)
    can: str = CAN
    drops: frozenset[str] = frozenset()
    cancels_at: str = ""


@dataclass
class Dialogue:
    """What the client asked, message by message, and how it ended: ``major`` and ``minor`` behind their ``#``.

    ``reason`` is for people, ``url`` where the client wants the browser to go.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    major: str = ""
    minor: str = ""
    reason: str = ""
    url: str = ""

    @property
    def asked(self) -> list[str]:
        """The questions, in order."""
        return [message["msg"] for message in self.messages]

    def first(self, question: str) -> dict[str, Any]:
        """The first message of this kind."""
        return next(message for message in self.messages if message["msg"] == question)

    @property
    def tries(self) -> list[int]:
        """The tries that the card had left each time a PIN or a CAN was asked for."""
        return [message["reader"]["card"]["retryCounter"] for message in self.messages if "reader" in message]


@dataclass(frozen=True)
class AusweisApp:
    """The running program."""

    port: int
    lines: list[str] = field(repr=False)

    @contextmanager
    def connected(self) -> Iterator[SDK]:
        """A connection of its SDK. When it ends, so does the login that it was about."""
        with SDK(self.port) as sdk:
            yield sdk

    def log(self) -> str:
        """All that it has said."""
        return "".join(self.lines)


def authenticate(sdk: SDK, tc_token_url: str, person: Person, *, developer_mode: bool = False) -> Dialogue:
    """A whole authentication that the SDK begins."""
    sdk.send("RUN_AUTH", tcTokenURL=tc_token_url, developerMode=developer_mode, status=False)
    return answer(sdk, person)


def answer(sdk: SDK, person: Person) -> Dialogue:
    """The person's side of an authentication, whoever began it."""
    dialogue, pins, chosen = Dialogue(), list(person.pins), False
    while True:
        message = sdk.receive(*_QUESTIONS, "BAD_STATE", "INVALID", "INTERNAL_ERROR")
        match message["msg"]:
            case "AUTH" if "result" not in message and "error" not in message:
                continue
            case "AUTH":
                assert "result" in message, message
                result = message["result"]
                dialogue.major = result["major"].rpartition("#")[2]
                dialogue.minor = result.get("minor", "").rpartition("#")[2]
                dialogue.reason = result.get("message", "")
                dialogue.url = message.get("url", "")
                return dialogue
            case "BAD_STATE" | "INVALID" | "INTERNAL_ERROR":
                raise AssertionError(f"expected a question, found {message}")
        if person.drops and message["msg"] == "ACCESS_RIGHTS" and not chosen:
            optional = message["chat"]["optional"]
            assert person.drops <= set(optional), f"expected {person.drops} to be optional, found {optional}"
            sdk.send("SET_ACCESS_RIGHTS", chat=[right for right in optional if right not in person.drops])
            chosen = True
            continue
        dialogue.messages.append(message)
        match message["msg"]:
            case question if question == person.cancels_at:
                sdk.send("CANCEL")
            case "ACCESS_RIGHTS":
                sdk.send("ACCEPT")
            case "ENTER_PIN":
                sdk.send("SET_PIN", value=pins.pop(0))
            case "ENTER_CAN":
                sdk.send("SET_CAN", value=person.can)


@contextmanager
def running(folder: Path, *, trusted: bytes) -> Iterator[AusweisApp]:
    """The program with a home of its own, in which it finds its trust point; gone afterwards.

    Both of its interfaces are on: the SDK's WebSocket, and the one that browsers are led to.
    """
    if shutil.which(_PROGRAM) is None:
        pytest.skip("needs Debian's package ausweisapp2")
    home, runtime = folder / "home", folder / "run"
    settings = home / ".local" / "share" / _PROGRAM
    settings.mkdir(parents=True)
    runtime.mkdir(mode=0o700)
    (settings / "config.json").write_text(json.dumps(_configuration(trusted)))
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "QT_QPA_PLATFORM": "offscreen",
    }
    process = subprocess.Popen(
        [_PROGRAM, "--no-proxy", "--no-logfile", "--ui", "websocket", "--ui", "webservice", "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    app = AusweisApp(port, [])
    reader = Thread(target=app.lines.extend, args=(process.stdout,))
    try:
        for line in process.stdout:
            app.lines.append(line)
            if _READY in line:
                break
        else:
            raise AssertionError(f"{_PROGRAM} did not start:\n{app.log()}")
        reader.start()
        yield app
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if reader.ident is not None:
            reader.join(PATIENCE)
        process.stdout.close()
        # It tells all that it does. pytest keeps the folder for whoever wants to know.
        (folder / "ausweisapp.log").write_text(app.log())


def _configuration(trusted: bytes) -> dict[str, Any]:
    """Its own file of what it trusts and which TLS it speaks.

    Of the two lists of trust points, the first is not for its developer mode, which refuses whoever is on it.
    """
    sizes = {"Rsa": 2000, "Ec": 250}
    return {
        "vendor": "TEST",
        "cvRootCertificates": [trusted.hex()],
        "cvRootCertificatesTest": [],
        "updateCertificates": [],
        "tlsSettings": {
            "protocolVersion": "TlsV1_2",
            "ocspStapling": True,
            "ciphers": ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
            "ellipticCurves": ["brainpoolP256r1", "secp384r1", "prime256v1"],
            "signatureAlgorithms": ["RSA+SHA256", "ECDSA+SHA256"],
        },
        "minStaticKeySizes": sizes,
        "minEphemeralKeySizes": {**sizes, "Dh": 2000},
    }
