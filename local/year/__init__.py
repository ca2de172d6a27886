"""A whole year on a moved clock: from the announcement to the certificates and the end of retention.

`situations/` has people, acts and expected letters, as data written by hand from docs/domain.md. Nothing here
imports a service.
"""
