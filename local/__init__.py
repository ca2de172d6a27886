"""The whole system on one machine without Docker: Postgres, a broker, a mailbox and the services.

Only the tests import this package. It never imports a service: services are started as processes, exactly as
they run for real.
"""
