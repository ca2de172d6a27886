"""Loads and saves rosters. A batch costs a handful of statements, whatever its size."""

from services.enrolment.store.rosters.loading import by_session, load, load_for_organiser
from services.enrolment.store.rosters.saving import save

__all__ = ["by_session", "load", "load_for_organiser", "save"]
