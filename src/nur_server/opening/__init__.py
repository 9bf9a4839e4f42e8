"""How a session comes to be, whatever door it comes through.

`agents` and each wire dialect translate what was asked for into `SessionOptions`; `plan` merges and
checks them; `prepare` turns a plan into engines and settings; `sessions` opens the session.
"""
