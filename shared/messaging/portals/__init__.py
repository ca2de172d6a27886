"""Portals: their rights, and how a request proves which portal sent it."""
