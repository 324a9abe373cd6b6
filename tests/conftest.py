"""Fixtures and rules that all tests share.

Tests are plain functions; ``async def`` ones run on asyncio. What a test needs from outside (a browser, a Redis
server, a served app, the published vectors) comes from a fixture, and a machine that lacks it skips the test and says
why; with ``CI=true`` a skip is a failure.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.browsing import browser as browser
from tests.browsing import chromium as chromium
from tests.no_skips import pytest_make_collect_report as pytest_make_collect_report
from tests.no_skips import pytest_runtest_makereport as pytest_runtest_makereport
from tests.servers import redis_server as redis_server
from tests.servers import redis_url as redis_url
from tests.servers import shared_redis as shared_redis
from tests.serving import serve as serve


def pytest_configure() -> None:
    """Make property tests draw the same examples in every run, and judge none by the clock."""
    settings.register_profile("tests", derandomize=True, deadline=None)
    settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _log_level_as_it_was() -> Iterator[None]:
    """Frameworks set the level of the whole process's log when an app of theirs is made; the next test has its own."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop we support and test on."""
    return "asyncio"


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of published test vectors, which lies beside the checkout."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the published vectors (../shared/data) are not beside this checkout")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the browser's tests last: Playwright keeps an event loop in this thread, where async tests need their own."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))
