"""Nodes that share a database: who is there, and how one reaches a session of another."""
