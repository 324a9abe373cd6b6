"""What the tests with several workers share: a database, and the country of the ID cards."""

from collections.abc import Iterator

import pytest

from tests.hosts.country import country as country
from tests.workers.town import accounts_for_all


@pytest.fixture(scope="package")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database that all workers share."""
    with accounts_for_all(tmp_path_factory.mktemp("accounts")) as url:
        yield url
