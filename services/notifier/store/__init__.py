"""Every query of the notifier, by subject.

Leases and due times follow the database's clock, which all replicas share.
"""
