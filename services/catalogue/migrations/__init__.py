"""Revisions of the catalogue database, oldest first."""
