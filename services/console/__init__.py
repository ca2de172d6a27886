"""The operators' console: state of services and broker, decisions to take, the way of a request.

It stands above the services, as ``services.agent``: it uses their service layers and ``shared`` with the
database URLs that are set. No service imports it. It changes nothing, and writes only the log of reads.
"""
