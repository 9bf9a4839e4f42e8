"""Sample rates that several layers share."""

LISTEN_RATE = 16_000
"""Samples per second of everything a session listens to: the rate of the voice-activity model, the
turn model and the recognisers."""
TELEPHONE_RATE = 8_000
"""Samples per second of G.711, the wire format of every carrier (ITU-T G.711)."""
