class NoLetterSent(Exception):
    """The mailbox got a letter today, or nobody has it. No limit is used up."""
