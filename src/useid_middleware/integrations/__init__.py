"""What frameworks are used to besides ASGI, a module for each. Nothing of ours imports these; apps of theirs do."""
