"""Why nothing was done: it is raised, so that the transaction stores nothing."""


class NoLetterSent(Exception):
    """No letter goes out: its mailbox got one today, or it is nobody's. No limit is used up either."""
