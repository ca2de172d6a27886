"""The operators' console: how all services and the broker are, what waits for somebody, where a request is.

A room above the services, as ``services.agent``: it asks each by its service layer and the mechanisms of
``shared``, with the database URLs that are set; no service imports it. It changes nothing, and writes nothing
but who has read what.
"""
