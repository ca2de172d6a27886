"""Revisions of the notifier's database; each brings it from the one before to the next."""
