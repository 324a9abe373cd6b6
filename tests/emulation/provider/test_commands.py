"""``useid provider`` on the command line."""

from argparse import ArgumentParser, Namespace

import pytest

from useid_middleware.emulation.provider.commands import add_commands, describe
from useid_middleware.emulation.provider.faults import FAULTS
from useid_middleware.errors import ConfigurationError


def run(*words: str) -> int:
    parser = ArgumentParser(prog="useid")
    add_commands(parser.add_subparsers())
    args: Namespace = parser.parse_args(["provider", *words])
    code: int = args.func(args)
    return code


def test_the_list_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].removesuffix(":NUMBER") for line in lines] == sorted(FAULTS)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("--inject", "no-such-fault"), "no fault is called"),
        (("--inject", "clock-skew"), "clock-skew:NUMBER"),
        (("--inject", "clock-skew:soon"), "clock-skew:NUMBER"),
        (("--inject", "invalid-iss:3"), "expected invalid-iss"),
        (("--issuer", "http://op.example"), "must be https"),
        (("--issuer", "https://op.example/?x=1"), "without query"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_is(words: tuple[str, ...], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        run(*words)


def test_wrong_usage_has_exit_code_2() -> None:
    with pytest.raises(SystemExit) as caught:
        run("--port", "many")
    assert caught.value.code == 2


def test_the_terminal_says_what_this_is_and_how_to_use_it() -> None:
    text = describe("http://127.0.0.1:9000", client_id="demo", client_secret="demo-secret", faults=("invalid-iss",))
    assert "test OpenID provider at http://127.0.0.1:9000" in text
    assert 'client_id = "demo"' in text
    assert "Wrong on purpose: invalid-iss" in text
