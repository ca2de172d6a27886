"""Leases and due times follow the database's clock, which all replicas share."""
