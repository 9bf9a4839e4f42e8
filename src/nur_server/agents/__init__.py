"""An agent, declared once: its fields, how they are checked, stored, shown and turned into options.

`declaration` names every field with its bounds, its documentation and the session option that it
sets. What is stored, merged, documented and typed in the SDK derives from it.
"""
