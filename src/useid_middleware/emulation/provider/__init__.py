"""The OpenID provider for development and tests: correct by default, and faulty in any named way on request."""
