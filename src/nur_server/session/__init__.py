"""Live sessions: the conversation core's actions performed with real engines and connections."""
