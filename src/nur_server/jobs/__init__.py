"""Durable work: what must be done, even if the server that meant to do it dies."""
