"""A bound login by the command line: approve, seal, make the passkey, keep it, and sign for the other device."""

import io
import json
import os
import pty
import subprocess
import sys
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.emulation.phone.fake_server import ACCOUNTS, NOW, SESSION_ID, USER_ID, WIDGET_KEY, FakeServer
from useid_middleware._codec import b64url
from useid_middleware.emulation.phone.app import Phone, Terminal
from useid_middleware.emulation.phone.commands import add_commands
from useid_middleware.emulation.phone.driver import new_client
from useid_middleware.emulation.phone.keys import KeyFile
from useid_middleware.errors import (
    AuthenticationError,
    RateLimited,
    RequestError,
    StateError,
    UnavailableError,
    UseIDError,
)
from useid_middleware.qr.core.signing import Decision
from useid_middleware.webauthn.core.options import Conveyance, begin_authentication

PUT = f"{ACCOUNTS}/{b64url(USER_ID)}"
SCAN = f"/session/{b64url(SESSION_ID)}"


class _Person(io.StringIO):
    """Somebody at a terminal who types these lines."""

    def isatty(self) -> bool:
        return True


class _Keeping(FakeServer):
    """Looks into the phone's pocket when the passkey comes: whether it is kept by then."""

    home: Path
    kept: int = -1

    def _register(self, path: str, body: dict[str, Any]) -> None:
        self.kept = len(KeyFile(self.home).credentials())
        super()._register(path, body)


def _phone(home: Path, server: FakeServer, typed: str | None = None) -> Phone:
    """Enrolled; somebody is there to ask if they have something to type."""
    phone = Phone(
        keys=KeyFile(home),
        terminal=Terminal(io.StringIO() if typed is None else _Person(typed), io.StringIO()),
        new_client=lambda: new_client(httpx2.ASGITransport(server)),
        clock=lambda: NOW + 0.9,
        new_seed=lambda: os.urandom(32),
        scheme="tana",
    )
    quiet = replace(phone, terminal=Terminal(io.StringIO(), io.StringIO()))
    quiet.enrol(server.enrolment_link(), label="test", trust=True)
    server.calls.clear()
    return phone


def _said(phone: Phone) -> str:
    assert isinstance(phone.terminal.output, io.StringIO)
    return phone.terminal.output.getvalue()


def _refused(kind: type[UseIDError], phone: Phone, link: str, *, yes: bool = True) -> str:
    with pytest.raises(kind) as caught:
        phone.approve(link, username=None, yes=yes)
    return caught.value.code


@pytest.mark.parametrize("conveyance", [Conveyance.NONE, Conveyance.DIRECT])
def test_an_approved_login_is_bound_by_a_passkey_that_is_kept_before_it_is_sent(
    tmp_path: Path, conveyance: Conveyance
) -> None:
    server = _Keeping(is_bound=True, conveyance=conveyance)
    server.home = tmp_path
    phone = _phone(tmp_path, server, "y\ny\n")
    phone.approve(server.login_link(), username=None, yes=False)
    assert [path for path, _ in server.calls] == [SCAN, "/approve", ACCOUNTS, PUT]
    assert server.opened == f"{server.server}/session/refresh/{'t' * 43}"
    assert server.registered is not None
    assert server.registered.is_user_verified
    assert server.kept == 1
    (kept,) = phone.keys.credentials()
    assert kept.id == server.registered.credential_id
    assert phone.keys.path.stat().st_mode & 0o777 == 0o600
    said = _said(phone)
    assert said.index("passkey of this phone") < said.index("Approve?") < said.index("Approved.")
    assert said.index("Approved.") < said.index("Make a passkey for this login at app.example?")
    assert server.opened not in said


def test_yes_binds_without_a_person(tmp_path: Path) -> None:
    server = FakeServer(is_bound=True)
    _phone(tmp_path, server).approve(server.login_link(frame=b""), username="alice", yes=True)
    assert server.registered is not None


def test_somebody_who_approves_and_makes_no_passkey_rejects_after_all(tmp_path: Path) -> None:
    server = FakeServer(is_bound=True)
    phone = _phone(tmp_path, server, "y\nn\n")
    assert _refused(RequestError, phone, server.login_link(), yes=False) == "rejected"
    assert [path for path, _ in server.calls] == [SCAN, "/approve", ACCOUNTS, "/reject"]
    assert server.decision is Decision.REJECT
    assert phone.keys.credentials() == ()


def test_a_no_to_a_bound_login_is_a_signed_rejection_and_nothing_else(tmp_path: Path) -> None:
    server = FakeServer(is_bound=True)
    phone = _phone(tmp_path, server, "n\n")
    assert _refused(RequestError, phone, server.login_link(), yes=False) == "rejected"
    assert server.decision is Decision.REJECT
    assert [path for path, _ in server.calls] == [SCAN, "/reject"]


@pytest.mark.parametrize(("widget_key", "code"), [(None, "widget_key_missing"), (bytes(32), "widget_key_invalid")])
def test_a_link_without_a_good_key_is_refused_before_the_user_is_asked(
    tmp_path: Path, widget_key: bytes | None, code: str
) -> None:
    server = FakeServer(is_bound=True)
    phone = _phone(tmp_path, server, "y\ny\n")
    assert _refused(RequestError, phone, server.login_link(widget_key=widget_key), yes=False) == code
    assert [path for path, _ in server.calls] == [SCAN]
    assert "Approve?" not in _said(phone)


def test_a_key_in_the_link_of_a_login_that_is_not_bound_does_nothing(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _phone(tmp_path, server)
    phone.approve(f"{server.login_link()}#key={b64url(WIDGET_KEY)}", username=None, yes=True)
    assert [path for path, _ in server.calls] == [SCAN, "/approve"]
    assert "402 718" in _said(phone)


@pytest.mark.parametrize("refresh_url", ["https://evil.example/auth", "https://app.example@evil.example/"])
def test_an_end_elsewhere_is_handed_to_nobody(tmp_path: Path, refresh_url: str) -> None:
    server = FakeServer(is_bound=True, refresh_url=refresh_url)
    phone = _phone(tmp_path, server)
    assert _refused(UnavailableError, phone, server.login_link()) == "answer_invalid"
    assert [path for path, _ in server.calls] == [SCAN, "/approve"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "sealed_invalid", RequestError),
        (404, "session_unknown", StateError),
        (409, "wrong_state", StateError),
        (410, "session_expired", StateError),
        (429, "rate_limited", RateLimited),
        (503, "store_unavailable", UnavailableError),
    ],
)
def test_a_refused_account_keeps_its_code_and_no_passkey_is_made(
    tmp_path: Path, status: int, code: str, kind: type[UseIDError]
) -> None:
    server = FakeServer(is_bound=True)
    server.fail(ACCOUNTS, status, {"code": code, "message": "why"})
    phone = _phone(tmp_path, server)
    assert _refused(kind, phone, server.login_link()) == code
    assert phone.keys.credentials() == ()


@pytest.mark.parametrize("status", [200, 204])
def test_an_account_that_was_not_created_is_none(tmp_path: Path, status: int) -> None:
    server = FakeServer(is_bound=True)
    server.fail(ACCOUNTS, status, b"" if status == 204 else {"userId": b64url(USER_ID), "options": {}})
    assert _refused(UnavailableError, _phone(tmp_path, server), server.login_link()) == "answer_invalid"


@pytest.mark.parametrize(
    ("status", "code", "kind", "kept"),
    [
        (401, "webauthn_challenge_expired", AuthenticationError, 0),
        (404, "binding_unknown", StateError, 0),
        (409, "wrong_state", StateError, 0),
        (503, "store_unavailable", UnavailableError, 1),
    ],
)
def test_a_passkey_that_the_server_refused_is_forgotten_and_one_that_it_may_have_is_kept(
    tmp_path: Path, status: int, code: str, kind: type[UseIDError], kept: int
) -> None:
    server = FakeServer(is_bound=True)
    server.fail(PUT, status, {"code": code, "message": "why"})
    phone = _phone(tmp_path, server)
    assert _refused(kind, phone, server.login_link()) == code
    assert len(phone.keys.credentials()) == kept


def test_a_registration_that_is_answered_like_a_page_is_not_taken_for_done(tmp_path: Path) -> None:
    server = FakeServer(is_bound=True)
    server.fail(PUT, 200, {})
    assert _refused(UnavailableError, _phone(tmp_path, server), server.login_link()) == "answer_invalid"


def _bound(home: Path, typed: str | None = None) -> tuple[FakeServer, Phone]:
    server = FakeServer(is_bound=True)
    phone = _phone(home, server, typed)
    phone.approve(server.login_link(), username=None, yes=True)
    return server, phone


def _options(server: FakeServer) -> bytes:
    return json.dumps(server.assertion_options()).encode()


def test_the_passkey_signs_for_the_other_device_and_counts(tmp_path: Path) -> None:
    server, phone = _bound(tmp_path, "y\ny\n")
    for count in range(2):
        answer = phone.sign(_options(server), origin="https://app.example", username=None, yes=False)
        verified = server.verify_assertion(json.loads(answer), sign_count=count)
        assert (verified.sign_count, verified.attachment, verified.is_user_verified) == (
            count + 1,
            "cross-platform",
            True,
        )
    (kept,) = phone.keys.credentials()
    assert kept.sign_count == 2
    said = _said(phone)
    assert said.index("https://app.example") < said.index("Tana at app.example") < said.index("Use the passkey?")


def test_nothing_is_signed_for_a_no_and_where_nobody_can_be_asked(tmp_path: Path) -> None:
    server, phone = _bound(tmp_path, "n\n")
    nobody = replace(phone, terminal=Terminal(io.StringIO("y\n"), io.StringIO()))
    for somebody, code in ((phone, "authenticator_not_confirmed"), (nobody, "confirmation_needed")):
        with pytest.raises(RequestError) as caught:
            somebody.sign(_options(server), origin="https://app.example", username=None, yes=False)
        assert caught.value.code == code
    assert [source.sign_count for source in phone.keys.credentials()] == [0]


@pytest.mark.parametrize(
    ("origin", "username", "code"),
    [
        ("https://app.example.evil.example", None, "authenticator_rp_id_refused"),
        ("http://app.example", None, "authenticator_origin_refused"),
        ("app.example", None, "authenticator_origin_refused"),
        ("https://app.example", "nobody", "authenticator_no_credential"),
    ],
)
def test_another_page_and_another_account_get_nothing(
    tmp_path: Path, origin: str, username: str | None, code: str
) -> None:
    server, phone = _bound(tmp_path)
    with pytest.raises(RequestError) as caught:
        phone.sign(_options(server), origin=origin, username=username, yes=True)
    assert caught.value.code == code


@pytest.mark.parametrize("options", [b"", b"null", b"[]", b"{}", b"\xff", b'{"challenge": 1}', b"[" * 10_000])
def test_what_is_no_request_is_refused_with_its_code(tmp_path: Path, options: bytes) -> None:
    _, phone = _bound(tmp_path)
    with pytest.raises(RequestError) as caught:
        phone.sign(options, origin="https://app.example", username=None, yes=True)
    assert caught.value.code == "authenticator_options_malformed"


def test_of_several_accounts_one_is_named(tmp_path: Path) -> None:
    server, phone = _bound(tmp_path)

    def add(sources: Any) -> Any:
        named = [
            replace(sources[0], user_name=name, user_handle=name.encode(), is_discoverable=True, secret=os.urandom(32))
            for name in ("alice", "bob")
        ]
        return (*sources, *named), None

    phone.keys.change_credentials(add)
    options, _ = begin_authentication(server.party, challenge=bytes(32), now=NOW)
    asked = json.dumps(options).encode()
    with pytest.raises(RequestError) as caught:
        phone.sign(asked, origin="https://app.example", username=None, yes=True)
    assert caught.value.code == "authenticator_account_ambiguous"
    phone.sign(asked, origin="https://app.example", username="bob", yes=True)
    assert "bob at app.example" in _said(phone)


_PROGRAM = "import sys; from useid_middleware.cli import main; sys.exit(main())"
#: As a shell does for who sits at it: the first terminal that a session opens is its own.
_AT_TERMINAL = f"import os; terminal = os.open(os.environ['TERMINAL'], os.O_RDWR); {_PROGRAM}"


def _run(home: Path, *words: str, options: bytes = b"", typed: str = "") -> subprocess.CompletedProcess[bytes]:
    """The command in a session of its own: without a terminal, or at one where somebody types this."""
    environment, program = dict(os.environ), _PROGRAM
    ends = pty.openpty() if typed else ()
    if ends:
        os.write(ends[0], typed.encode())
        environment["TERMINAL"], program = os.ttyname(ends[1]), _AT_TERMINAL
    command = [sys.executable, "-c", program, "phone", *words, "--home", str(home)]
    done = subprocess.run(
        command, input=options, capture_output=True, timeout=60, check=False, env=environment, start_new_session=True
    )
    for end in ends:
        os.close(end)
    return done


def test_the_command_reads_options_asks_at_the_terminal_and_writes_the_answer_alone(tmp_path: Path) -> None:
    server, _ = _bound(tmp_path)
    sign = ("sign", "--origin", "https://app.example")
    done = _run(tmp_path, *sign, options=_options(server), typed="y\n")
    assert (done.returncode, b"Use the passkey? [y/N]" in done.stderr) == (0, True)
    assert server.verify_assertion(json.loads(done.stdout)).sign_count == 1
    done = _run(tmp_path, *sign, options=_options(server))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"confirmation_needed: ")
    done = _run(tmp_path, *sign, "--yes", options=_options(server))
    assert server.verify_assertion(json.loads(done.stdout), sign_count=1).sign_count == 2
    done = _run(tmp_path, *sign, "--yes", options=b" " * 70_000)
    assert done.stderr.startswith(b"authenticator_options_malformed: ")


def _command(*words: str) -> int:
    parser = ArgumentParser(prog="useid")
    add_commands(parser.add_subparsers())
    args = parser.parse_args(["phone", *words])
    code: int = args.func(args)
    return code


def test_the_commands_list_and_forget_passkeys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, phone = _bound(tmp_path)
    (kept,) = phone.keys.credentials()
    home = ("--home", str(tmp_path))
    assert _command("passkeys", *home) == 0
    assert capsys.readouterr().out == f"{kept.id.hex()}  app.example  Tana  2026-11-21T02:40:00Z\n"
    for unknown in ("00" * 32, "nonsense", kept.id.hex()[:-2]):
        assert _command("forget-passkey", unknown, *home) == 1
        assert capsys.readouterr().err.startswith("passkey_unknown: ")
    assert _command("forget-passkey", kept.id.hex(), *home) == 0
    assert phone.keys.credentials() == ()
    assert phone.keys.read() != ()
    capsys.readouterr()
    assert _command("passkeys", *home) == 0
    assert capsys.readouterr().out == "No passkey is on this phone.\n"


def test_a_page_must_say_its_origin(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _command("sign", "--yes")
    assert caught.value.code == 2
