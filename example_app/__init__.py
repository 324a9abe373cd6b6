"""A small web app with users and passwords of its own, into which the plugin is mounted; see :mod:`example_app.app`."""
