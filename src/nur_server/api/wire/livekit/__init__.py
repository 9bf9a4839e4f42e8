"""The signalling and the data packets that clients of LiveKit speak."""
