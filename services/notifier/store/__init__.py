"""Every query of the notifier, by subject.

Leases and due times are judged by the database's clock, which all replicas share.
"""
