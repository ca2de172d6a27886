class LocalStackError(RuntimeError):
    """The message says in one line what happened, to what, and what to do next."""
