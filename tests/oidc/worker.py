"""An app with the plugin, configured by the environment: one of several processes that share a store."""

from tests.oidc.world import host_app
from useid_middleware import UseIDMiddleware

app = UseIDMiddleware(host_app)
