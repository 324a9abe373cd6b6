"""OpenID providers that nobody here wrote, started for tests: npm ``oidc-provider`` 9 and 6.

``scripts/peers`` installs them into ``build/peers``; each runs in a Node process of its own on a free port. Import the
fixtures ``start_provider9`` and ``start_provider6`` into the test module or its ``conftest.py``.
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypedDict, Unpack

import pytest
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from tests.servers import free_port

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "build" / "peers"
#: Seconds for starting, for an orderly end and for an event; reached only when something is wrong.
PATIENCE = 30.0
#: What a client of the tests authenticates with, unless it is given something else.
SECRET = "a secret of the tests"

#: The metadata with which a client is registered.
Client = Mapping[str, object]


class Options(TypedDict, total=False):
    """What a test may say about a provider; each has a default."""

    #: The host name in the issuer; the server itself always listens on 127.0.0.1.
    host: str
    #: The port, when the relying party had to know the issuer before the provider was started.
    port: int
    #: Claims of people by login name. Anybody else who types a name has a name and a verified address made from it.
    people: Mapping[str, Mapping[str, object]]
    #: Whether a page asks for consent, or it is given without one.
    consent: Literal["automatic", "ask"]
    #: Lifetimes in seconds, by the package's names: ``{"AccessToken": 2, "IdToken": 5}``.
    ttl: Mapping[str, int]
    #: Whether a refresh token is replaced when used. The old one used again revokes the grant.
    rotate: bool
    #: Whether the ID token holds the claims of all scopes, as other providers do, or only userinfo does.
    claims_in_id_token: bool
    #: The values of ``acr_values`` that the provider satisfies.
    acr_values: Sequence[str]
    #: The package's ``features``, over those that are on already: ``{"fapi": {"enabled": True, "profile": "2.0"}}``. Of
    #: our own making is ``{"dPoP": {"requireNonce": True}}``.
    features: Mapping[str, Mapping[str, object]]
    #: Private signing keys; one for each algorithm by default, the same for all providers of a run.
    jwks: KeySet


class Event(dict[str, Any]):
    """Something that a provider printed: ``{"event": "grant.error", "error": "invalid_grant", …}``."""


class Peer:
    """A provider in its own process. It forgets everything when it is stopped, except its settings.

    The packages keep their records in memory, version 9 no more than 1,000: some hundred logins under way at once.
    """

    def __init__(self, program: str, clients: Sequence[Client], *, folder: Path, options: Options) -> None:
        self.port = options.get("port") or free_port()
        self.issuer = f"http://{options.get('host', '127.0.0.1')}:{self.port}"
        self._program = program
        self._folder = folder
        self._clients = clients
        self._options = options
        self._lines: list[str] = []
        self._printed = threading.Condition()
        self._ended = True
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start, and return when it listens."""
        assert self._process is None, "already started"
        settings = self._folder / "settings.json"
        settings.write_text(json.dumps(self._settings()))
        with self._printed:
            before = len(self._lines)
            self._ended = False
        # It ends by itself when its standard input closes, which happens when this process is killed.
        process = subprocess.Popen(
            ["node", str(HERE / self._program), str(settings)],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        self._process = process
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()
        ready = f"ready {self.issuer}\n"
        with self._printed:
            self._printed.wait_for(lambda: self._ended or ready in self._lines[before:], PATIENCE)
            started = ready in self._lines[before:]
        if not started:
            self.stop()
            raise RuntimeError(f"{self._program} did not start:\n{self.log()}")

    def stop(self) -> None:
        """End the process. Its log stays readable. Does nothing when it is stopped already."""
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
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()

    def restart(self, clients: Sequence[Client] | None = None, **changes: Unpack[Options]) -> None:
        """Stop, and start again at the same address with some settings changed: other keys, for example."""
        assert "port" not in changes, "a restarted provider keeps its address"
        assert "host" not in changes, "a restarted provider keeps its address"
        self.stop()
        self._options = {**self._options, **changes}
        self._clients = self._clients if clients is None else clients
        self.start()

    def log(self) -> str:
        """All that the process has printed since the first start."""
        with self._printed:
            return "".join(self._lines)

    def events(self, name: str) -> list[Event]:
        """The events of this name so far, oldest first."""
        with self._printed:
            return self._events(name)

    def wait_for(self, name: str, *, count: int = 1) -> Event:
        """Wait for the ``count``-th event of this name, since output may arrive after the response."""
        with self._printed:
            if not self._printed.wait_for(lambda: len(self._events(name)) >= count, PATIENCE):
                raise AssertionError(f"the provider printed no {name}:\n{''.join(self._lines)}")
            return self._events(name)[count - 1]

    def _events(self, name: str) -> list[Event]:
        printed = (Event(json.loads(line)) for line in self._lines if line.startswith('{"event":'))
        return [event for event in printed if event["event"] == name]

    def _settings(self) -> dict[str, object]:
        return {
            "people": {},
            "consent": "automatic",
            "ttl": {},
            "rotate": True,
            "claims_in_id_token": False,
            "acr_values": [],
            "features": {},
            **self._options,
            "jwks": self._options.get("jwks", signing_keys()).as_dict(private=True),
            "clients": list(self._clients),
            "issuer": self.issuer,
            "port": self.port,
            "modules": str(MODULES),
        }

    def _read(self, output: IO[str]) -> None:
        for line in output:
            with self._printed:
                self._lines.append(line)
                self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()


class StartPeer(Protocol):
    """Starts a provider: ``start_provider9([client(redirect_uri)], ttl={"AccessToken": 2})``."""

    def __call__(self, clients: Sequence[Client], **options: Unpack[Options]) -> Peer: ...


def client(redirect_uri: str, *, client_id: str = "useid", secret: str | None = SECRET, **more: Any) -> Client:
    """The registration of a relying party that may use codes and refresh tokens; ``more`` is any client metadata."""
    metadata: dict[str, object] = {
        "client_id": client_id,
        "client_secret": secret,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        **more,
    }
    # A client that has keys, or is public, has no secret.
    return {name: value for name, value in metadata.items() if value is not None}


def new_signing_keys() -> KeySet:
    """Make a private key for each of RS256, ES256 and EdDSA."""
    return KeySet(
        [
            RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True),
            ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True),
            OKPKey.generate_key("Ed25519", {"use": "sig"}, auto_kid=True),
        ]
    )


@cache
def signing_keys() -> KeySet:
    """The private keys that all providers of a run sign with, unless they are given others."""
    return new_signing_keys()


def _factory(program: str, package: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPeer]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs npm)")
    if not (MODULES / "ready").is_file():
        pytest.skip(f"npm's {package} is not installed; scripts/peers does it")
    peers: list[Peer] = []

    def start(clients: Sequence[Client], **options: Unpack[Options]) -> Peer:
        peer = Peer(program, clients, folder=tmp_path_factory.mktemp("peer"), options=options)
        peers.append(peer)
        peer.start()
        return peer

    yield start
    for peer in peers:
        peer.stop()


@pytest.fixture(scope="module")
def start_provider9(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPeer]:
    """Start providers of npm ``oidc-provider`` 9; all are stopped after the module's tests."""
    yield from _factory("provider9.mjs", "oidc-provider 9", tmp_path_factory)


@pytest.fixture(scope="module")
def start_provider6(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPeer]:
    """Start providers of npm ``oidc-provider`` 6; all are stopped after the module's tests."""
    yield from _factory("provider6.cjs", "oidc-provider 6", tmp_path_factory)
