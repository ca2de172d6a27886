"""The operators' console: state of services and broker, decisions to take, the way of a request.

It uses the databases whose URLs are set. No service imports it. It writes only the log of reads.
"""
