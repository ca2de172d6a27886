"""The whole system on one machine without Docker: Postgres, a broker, a mailbox and the services.

Only the tests import this package. It imports no service: the services run as processes.
"""
