"""Sessions run again from their journals: the same, or with other settings."""
