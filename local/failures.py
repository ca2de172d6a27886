class LocalStackError(RuntimeError):
    """What happened, to what, and what to do next, in one line for the person at the terminal."""
