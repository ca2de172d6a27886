"""Commands and queries: functions of a transaction, one module for each subject.

For a session of another organiser a query returns None, and a command raises ``NotFound``. A query that shows
people to staff records the read.
"""
