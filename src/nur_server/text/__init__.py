"""Text on its way from a model to a voice: markup taken out, clauses cut, figures written as words.

A leaf: it imports nothing else of the server.
"""
