"""The providers as fixtures of every test here."""

from tests.peers.providers import start_provider6 as start_provider6
from tests.peers.providers import start_provider9 as start_provider9
