"""`useid …` as an operator types it."""

import subprocess
import sys
from pathlib import Path

import pytest

from useid_middleware.cli import main


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("USEID_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_check_prints_what_is_mounted_and_what_is_unsafe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    output = capsys.readouterr().out
    assert "POST   /auth/session/create" in output
    assert "GET    /auth/session/{id}/events" in output
    assert "DELETE /auth/devices/{id}" in output
    assert "unsafe:\n  - production is off" in output


def test_check_has_nothing_to_say_about_a_safe_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "useid.toml"
    file.write_text(
        'production = true\norigin = "https://app.example"\nprefix = "/login"\nstore = "redis://user:hunter2@db/0"\n'
    )
    assert main(["check", "--config", str(file)]) == 0
    output = capsys.readouterr().out
    assert output.endswith("nothing unsafe\n")
    assert "POST   /login/approve" in output
    assert "redis://db/0" in output
    assert "hunter2" not in output


def test_a_wrong_setting_is_one_line_and_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USEID_QR__LIFETIME", "soon")
    assert main(["check"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("configuration_error: qr.lifetime (USEID_QR__LIFETIME): ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check", "--nonsense"], ["phone"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_demo_outside_a_checkout_says_what_it_lacks(tmp_path: Path) -> None:
    script = "import sys; from useid_middleware.cli import main; sys.exit(main(['demo']))"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("configuration_error: the demo lacks example_app: run make demo")
