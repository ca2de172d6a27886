"""Every command and query of the enrolment service: functions of a transaction, a module for each subject.

Handlers, API, pages, jobs and the command line open the transaction and call one of them; nothing else calls
the store.
"""
