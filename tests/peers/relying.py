"""The least relying party that can be: it sends what it should, and checks nothing that a test does not check."""

import base64
import hashlib
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from tests.peers.people import log_in
from tests.peers.providers import SECRET, Peer

#: Nobody listens here: what is sent back to the relying party is read off the address.
RP = "http://127.0.0.1:8099"
CALLBACK = f"{RP}/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Listener:
    """Where the relying party listens, and what came: the forms that were posted, the paths that were opened."""

    origin: str
    posted: "queue.Queue[dict[str, str]]"
    opened: "queue.Queue[str]"


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    """An address of the relying party that providers and browsers can reach."""
    posted: queue.Queue[dict[str, str]] = queue.Queue()
    opened: queue.Queue[str] = queue.Queue()

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode())))
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            opened.put(self.path)
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><title>The relying party</title><link rel='icon' href='data:,'>")

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Listener(f"http://127.0.0.1:{server.server_port}", posted, opened)
        server.shutdown()
        thread.join()


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    """A browser's cookies and a relying party's back channel in one."""
    with httpx2.Client() as opened:
        yield opened


@dataclass(frozen=True)
class Relying:
    """The least relying party that can be: it sends requests, and checks nothing that a test does not check."""

    http: httpx2.Client
    peer: Peer
    client_id: str = "useid"

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"{self.peer.issuer}/.well-known/openid-configuration").json()
        return found

    @property
    def keys(self) -> KeySet:
        return KeySet.import_key_set(self.http.get(self.metadata["jwks_uri"]).json())

    def request(self, **more: str) -> dict[str, str]:
        asked = {"client_id": self.client_id, "redirect_uri": CALLBACK, "response_type": "code", "state": "st"}
        asked |= {"scope": "openid profile email roles", "nonce": "no", "code_challenge": CHALLENGE}
        return {**asked, "code_challenge_method": "S256", **more}

    def url(self, **more: str) -> str:
        return f"{self.metadata['authorization_endpoint']}?{urlencode(self.request(**more))}"

    @property
    def auth(self) -> tuple[str, str]:
        # Both are form-encoded before they become the header: RFC 6749, section 2.3.1.
        return quote_plus(self.client_id), quote_plus(SECRET)

    def token(self, headers: dict[str, str] | None = None, **form: str) -> httpx2.Response:
        return self.http.post(self.metadata["token_endpoint"], data=form, auth=self.auth, headers=headers)

    def redeem(self, callback: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        form = {"grant_type": "authorization_code", "code": query(callback)["code"], "redirect_uri": CALLBACK}
        answer = self.token(headers, **form, code_verifier=VERIFIER)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def log_in(self, **more: str) -> dict[str, Any]:
        return self.redeem(log_in(self.http, self.url(**more)))

    def claims(self, token: str) -> dict[str, Any]:
        return jwt.decode(token, self.keys, algorithms=["RS256", "ES256"]).claims

    def end_session_url(self, tokens: dict[str, Any]) -> str:
        asked = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": f"{RP}/bye", "state": "out"}
        return f"{self.metadata['end_session_endpoint']}?{urlencode(asked)}"


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def dpop(key: ECKey, method: str, url: str, **claims: str) -> dict[str, str]:
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    proof = {"jti": uuid.uuid4().hex, "htm": method, "htu": url, "iat": int(time.time()), **claims}
    return {"DPoP": jwt.encode(header, proof, key)}
