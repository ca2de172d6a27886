"""Commands and queries: functions of a transaction, one module for each subject.

Handlers, API, pages, jobs and command line open the transaction. Only these functions call the store.
"""
