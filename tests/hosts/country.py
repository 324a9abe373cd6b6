"""The country whose ID cards the hosts of these tests know: imported by the modules that use it."""

from pathlib import Path

import pytest

from tests.ausweisapp.serving import found_country


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a PKI, in which every host's eID server has its terminal."""
    folder = tmp_path_factory.mktemp("hosts") / "pki"
    found_country(folder, generations=1)
    return folder
