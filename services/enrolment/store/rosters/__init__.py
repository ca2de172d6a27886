"""Rosters of sessions, loaded and saved.

A batch costs a handful of statements, however many requests it holds.
"""

from services.enrolment.store.rosters.loading import by_session, load, load_for_organiser
from services.enrolment.store.rosters.saving import save

__all__ = ["by_session", "load", "load_for_organiser", "save"]
