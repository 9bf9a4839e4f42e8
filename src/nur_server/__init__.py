"""Nur: a self-hosted voice-agent server. `ARCHITECTURE.md` says where everything lives."""
