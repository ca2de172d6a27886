"""The operators' console: the state of services and broker, what waits for a decision, where a request is.

It stands above the services, as ``services.agent``: it uses their service layers and ``shared`` with the
database URLs that are set. No service imports it. It changes nothing, and writes only the log of reads.
"""
