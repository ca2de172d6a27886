"""The operators' console: state of services and broker, decisions to take, the way of a request.

Like ``services.agent`` it uses the services' layers and ``shared`` with the database URLs that are set. No
service imports it. It changes nothing, and writes only the log of reads.
"""
