"""Failures, which roll the transaction back."""


class NoLetterSent(Exception):
    """The mailbox got a letter today, or nobody has it. No limit is used up."""
