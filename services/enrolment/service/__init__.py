"""Commands and queries of the enrolment service: functions of a transaction, one module for each subject.

Handlers, API, pages, jobs and the command line open the transaction and call these functions. Only these
functions call the store.
"""
