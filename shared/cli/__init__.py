"""The command lines: ``python -m services.<name> serve | migrate | …``, and what they have in common.

A command imports what it uses when it is called, so that most start without the web framework.
"""
