"""The one error of the local stack: what happened, to what, and what to do next, in one line."""


class LocalStackError(RuntimeError):
    """A part of the local stack could not do its work; the message is for the person at the terminal."""
