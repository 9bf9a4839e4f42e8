"""Toolboxes are tried on the API's server."""

from tests.api.conftest import server, start

__all__ = ["server", "start"]
