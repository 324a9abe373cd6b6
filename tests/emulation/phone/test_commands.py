"""What a person does with ``useid phone``: the app against a terminal, and the commands with their exit codes."""

import io
from argparse import ArgumentParser, Namespace
from pathlib import Path

import httpx2
import pytest

from tests.emulation.phone.fake_server import CODE, NOW, FakeServer, serving
from useid_middleware.emulation.phone.app import Phone, Terminal
from useid_middleware.emulation.phone.commands import add_commands
from useid_middleware.emulation.phone.driver import new_client
from useid_middleware.emulation.phone.keys import KeyFile
from useid_middleware.errors import RequestError
from useid_middleware.qr.core.signing import Decision


class _Person(io.StringIO):
    """Somebody at a terminal who types these lines."""

    def isatty(self) -> bool:
        return True


def _phone(home: Path, server: FakeServer, typed: io.StringIO | None = None) -> Phone:
    return Phone(
        keys=KeyFile(home),
        terminal=Terminal(typed or io.StringIO(), io.StringIO()),
        new_client=lambda: new_client(httpx2.ASGITransport(server)),
        clock=lambda: NOW + 0.9,
        new_seed=lambda: bytes(range(32)),
        scheme="tana",
    )


def _said(phone: Phone) -> str:
    assert isinstance(phone.terminal.output, io.StringIO)
    return phone.terminal.output.getvalue()


def _enrolled(home: Path, server: FakeServer, typed: io.StringIO | None = None) -> Phone:
    _phone(home, server).enrol(server.enrolment_link(), label="test", trust=True)
    server.calls.clear()
    return _phone(home, server, typed)


def test_enrolling_shows_the_server_asks_for_trust_and_shows_the_code(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _phone(tmp_path, server, _Person("y\n"))
    phone.enrol(server.enrolment_link(), label="test", trust=False)
    said = _said(phone)
    assert said.index(server.server) < said.index("do you trust it?") < said.index("402 718")
    (key,) = phone.keys.read()
    assert (key.server, key.username, key.app_name, key.label) == (server.server, "alice", "Tana", "test")
    assert key.public_key == server.public_key
    assert server.calls[0][1]["issuedAt"] == NOW


@pytest.mark.parametrize("typed", ["n\n", "\n", "yess\n", " \n"])
def test_t14_nothing_is_sent_to_a_server_that_the_user_does_not_trust(tmp_path: Path, typed: str) -> None:
    server = FakeServer()
    with pytest.raises(RequestError) as caught:
        _phone(tmp_path, server, _Person(typed)).enrol(server.enrolment_link(), label="test", trust=False)
    assert caught.value.code == "server_untrusted"
    assert server.calls == []
    assert KeyFile(tmp_path).read() == ()


@pytest.mark.parametrize("yes", [True, False])
def test_t14_nothing_is_sent_to_a_server_that_is_not_enrolled(tmp_path: Path, yes: bool) -> None:
    server = FakeServer()
    phone = _enrolled(tmp_path, server, _Person("y\n"))
    link = server.login_link(server="https://app.example.evil.example/auth")
    with pytest.raises(RequestError) as caught:
        phone.approve(link, username=None, yes=yes)
    assert caught.value.code == "server_untrusted"
    with pytest.raises(RequestError):
        phone.reject(link, username=None)
    assert server.calls == []


def test_approving_shows_the_request_before_it_asks_and_the_code_after(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _enrolled(tmp_path, server, _Person("y\n"))
    phone.approve(server.login_link(), username=None, yes=False)
    said = _said(phone)
    assert (
        said.index("https://app.example") < said.index("Berlin") < said.index("Approve? [y/N]") < said.index("402 718")
    )
    assert server.decision is Decision.APPROVE


def test_yes_approves_without_a_person(tmp_path: Path) -> None:
    server = FakeServer(code=None)
    phone = _enrolled(tmp_path, server)
    phone.approve(server.login_link(frame=b""), username="alice", yes=True)
    assert _said(phone).endswith("Approved.\n")
    assert server.decision is Decision.APPROVE


def test_a_no_is_sent_as_a_signed_rejection(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _enrolled(tmp_path, server, _Person("n\n"))
    with pytest.raises(RequestError) as caught:
        phone.approve(server.login_link(), username=None, yes=False)
    assert caught.value.code == "rejected"
    assert server.decision is Decision.REJECT


def test_the_end_of_input_decides_nothing(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _enrolled(tmp_path, server, _Person(""))
    with pytest.raises(RequestError) as caught:
        phone.approve(server.login_link(), username=None, yes=False)
    assert caught.value.code == "not_decided"
    assert server.decision is None


def test_without_a_terminal_nothing_is_scanned_unless_told(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _enrolled(tmp_path, server, io.StringIO("y\n"))
    with pytest.raises(RequestError, match="--yes") as caught:
        phone.approve(server.login_link(), username=None, yes=False)
    assert caught.value.code == "confirmation_needed"
    with pytest.raises(RequestError, match="--trust"):
        phone.enrol(server.enrolment_link(), label="test", trust=False)
    assert server.calls == []


def test_rejecting_shows_the_request_and_sends_a_signed_rejection(tmp_path: Path) -> None:
    server = FakeServer()
    phone = _enrolled(tmp_path, server)
    phone.reject(server.login_link(), username=None)
    assert "Berlin" in _said(phone)
    assert server.decision is Decision.REJECT


@pytest.mark.parametrize("label", ["", " ", "x" * 61, "a\nb"])
def test_a_label_that_the_server_would_refuse_is_not_sent(tmp_path: Path, label: str) -> None:
    server = FakeServer()
    with pytest.raises(RequestError, match="label"):
        _phone(tmp_path, server).enrol(server.enrolment_link(), label=label, trust=True)
    assert server.calls == []


def test_a_login_link_does_not_enrol(tmp_path: Path) -> None:
    server = FakeServer()
    with pytest.raises(RequestError, match="expected a link of type enrol"):
        _phone(tmp_path, server).enrol(server.login_link(), label="test", trust=True)
    assert server.calls == []


def _run(*words: str) -> int:
    parser = ArgumentParser(prog="useid")
    add_commands(parser.add_subparsers())
    args: Namespace = parser.parse_args(["phone", *words])
    code: int = args.func(args)
    return code


def test_the_commands_enrol_approve_reject_list_and_forget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(tmp_path / "home"))
    server = FakeServer()
    with serving(server):
        assert _run("enrol", server.enrolment_link(), "--trust", "--label", "Desk", *home) == 0
        assert f"{CODE[:3]} {CODE[3:]}" in capsys.readouterr().out
        assert _run("approve", server.login_link(), "--yes", *home) == 0
        assert _run("reject", server.login_link(), *home) == 0
    assert [path for path, _ in server.calls if "/session/" not in path][1:] == ["/approve", "/reject"]
    capsys.readouterr()
    assert _run("list", *home) == 0
    assert capsys.readouterr().out == f"{server.server}  alice  Tana  Desk\n"
    assert _run("forget", server.server, *home) == 0
    assert "Revoke the phone there as well" in capsys.readouterr().out
    assert _run("list", *home) == 0
    assert capsys.readouterr().out == "No key is enrolled on this phone.\n"
    assert _run("forget", server.server, *home) == 1


def test_a_failure_is_one_line_with_its_code_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("approve", "tana://pay?x=1", "--yes", "--home", str(tmp_path)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "link_refused: expected type auth or enrol\n"


def test_the_scheme_is_the_one_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = FakeServer().login_link()
    assert _run("approve", link, "--yes", "--scheme", "shop", "--home", str(tmp_path)) == 1
    assert capsys.readouterr().err == "link_refused: expected the scheme of this app\n"
    universal = link.replace("tana://auth?", "https://app.example/phone?type=auth&")
    options = ("--universal-link", "https://app.example/phone", "--home", str(tmp_path))
    assert _run("approve", universal, "--yes", *options) == 1
    assert capsys.readouterr().err.startswith("server_untrusted: ")


@pytest.mark.parametrize("words", [(), ("approve",), ("dance",), ("forget",), ("list", "--yes")])
def test_wrong_usage_has_exit_code_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        _run(*words)
    assert caught.value.code == 2
