"""With ``CI=true`` a test that is skipped, or expected to fail, has failed: what CI did not run nobody has proved."""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge one phase of one test, after pytest has settled what ``skip`` and ``xfail`` make of it."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge one module: ``importorskip`` and ``allow_module_level`` skip it whole."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    expected_to_fail = hasattr(report, "wasxfail")
    if os.environ.get("CI") != "true" or not (report.skipped or expected_to_fail):
        return
    if expected_to_fail:
        reason = f"xfail {report.wasxfail}".strip()
        del report.wasxfail
    else:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"CI=true, and this did not run as a test: {reason}"
