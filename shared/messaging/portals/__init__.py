"""Portals: which requests they may make, and how a request proves which portal sent it."""
