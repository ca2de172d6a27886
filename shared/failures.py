class OperatorError(Exception):
    """Something that an operator must mend. The message says what it is and what to do.

    A command shows it in one line, without a traceback.
    """
