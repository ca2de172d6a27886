"""Portals: who may make requests, for which agents, and how a request proves which portal sent it."""
