"""Policies of turn-taking: has the user finished, do they interrupt, and whom do they speak to?

Each policy is a function from evidence to a verdict with its reason. Nothing here keeps a
conversation's state, does I/O or reads a clock; `conversation` asks the policies and acts.
"""
