"""Servers with scripted engines, and browsers that look at them."""

from tests.api_realtime.conftest import serve

__all__ = ["serve"]
