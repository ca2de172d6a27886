"""Revisions of the notifier's database, oldest first."""
