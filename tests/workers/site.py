"""A site with the plugin, set up by the environment alone: what any server can serve."""

from tests.hosts.apps import bare_around
from useid_middleware import UseID

app = bare_around(UseID())
