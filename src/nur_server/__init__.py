"""Nur: a self-hosted voice-agent server. `ARCHITECTURE.md` says where everything lives."""

__version__ = "0.1.0"
"""Of the distribution `nur-voice`: the server, and the SDK `nur`."""
