"""A server, and far ends that talk to it over peer connections on this machine."""

import pytest

from tests.api_realtime.conftest import serve

__all__ = ["serve"]

pytest.importorskip(
    "reactor_webrtc", reason="needs reactor-webrtc: pip install -e '.[server,webrtc,dev]'"
)
