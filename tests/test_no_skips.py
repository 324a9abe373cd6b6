"""What CI does with tests that do not run: see ``no_skips.py``."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = {
    "passes": "def test_it(): assert 1 + 1 == 2",
    "skip": "import pytest\ndef test_it(): pytest.skip('no browser')",
    "skip_mark": "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_it(): pass",
    "skip_in_fixture": "import pytest\n@pytest.fixture\ndef it(): pytest.skip('no browser')\ndef test_it(it): pass",
    "skipped_module": "import pytest\npytest.skip('no browser', allow_module_level=True)",
    "expected_failure": "import pytest\n@pytest.mark.xfail(reason='no browser')\ndef test_it(): assert False",
    "unexpected_pass": "import pytest\n@pytest.mark.xfail(reason='no browser')\ndef test_it(): pass",
}
UNPROVED = set(TESTS) - {"passes"}


def outcomes(folder: Path, *, ci: str) -> dict[str, str]:
    """Run ``TESTS`` in a pytest that has nothing of ours but the rule under test; its summary line for each."""
    for name, text in TESTS.items():
        (folder / f"test_{name}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    # Wide enough that no reason is cut.
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(Path(__file__).parents[1]), "COLUMNS": "1000"}
    command = [sys.executable, "-m", "pytest", "-rA", "--continue-on-collection-errors", "--no-fold-skipped"]
    command += ["-p", "tests.no_skips", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    summary = done.stdout.partition("short test summary info")[2].splitlines()
    return {name: next((line for line in summary if f"test_{name}.py" in line), done.stdout) for name in TESTS}


def test_in_ci_a_test_that_proves_nothing_fails_and_says_why(tmp_path: Path) -> None:
    found = outcomes(tmp_path, ci="true")
    assert found.pop("passes").startswith("PASSED")
    assert {name for name, line in found.items() if line.startswith(("FAILED", "ERROR"))} == UNPROVED, found
    assert {name for name, line in found.items() if "this did not run as a test" in line} == UNPROVED, found
    assert {name for name, line in found.items() if line.endswith("no browser")} == UNPROVED, found


def test_elsewhere_a_test_may_be_skipped(tmp_path: Path) -> None:
    found = outcomes(tmp_path, ci="")
    assert {line.split()[0] for line in found.values()} == {"PASSED", "SKIPPED", "XFAIL", "XPASS"}, found
