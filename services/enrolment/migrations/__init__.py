"""Revisions of the enrolment database, oldest first."""
