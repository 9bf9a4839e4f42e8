"""The examples talk to the same server as the tests of the socket."""

from tests.api_realtime.conftest import serve

__all__ = ["serve"]
