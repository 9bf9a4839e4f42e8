"""Phone carriers that bring a call's audio over a WebSocket."""
