from dataclasses import fields, replace
from datetime import datetime
from typing import TypeVar

from services.catalogue.rules.changes import amend, differences, schedule
from services.catalogue.rules.offers import Offer, Source, Terms
from services.catalogue.rules.refusals import RefusedByRule
from services.catalogue.rules.sessions import Done, Loaded, Plan, Presentation, Session
from services.catalogue.rules.validity import unpublishable
from shared.events.vocabulary import Status

_FIXED = ("offer_id", "format", "organiser")


def load(planned: Session, known: Session | None, now: datetime) -> Done | RefusedByRule:
    """Publish a new session (``known`` is None), or change what changed in the files since the last load.

    Organisers' changes stay. A cancelled session stays as it is.
    """
    if known is None:
        return schedule(planned, now)
    if known.status is Status.CANCELLED or planned.loaded is None:
        return Done(known)
    before, given = known.loaded or Loaded(known.plan, known.presentation), planned.loaded
    plan = _with_changes(known.plan, before.plan, given.plan)
    violations = unpublishable(plan, known.format)
    if violations:
        return RefusedByRule(violations)
    done = amend(known, plan, now) if plan != known.plan else Done(known)
    presentation = _with_changes(known.presentation, before.presentation, given.presentation)
    return replace(done, session=with_presentation(replace(done.session, loaded=given), presentation))


def load_offer(given: Offer, known: Offer | None) -> Offer:
    """Change what changed in the files since the last load. ``known`` is None for a new offer."""
    if known is None:
        return replace(given, loaded=given)
    before = known.loaded or known
    names = ("format", "title", "summary", "themes", "source")
    changed = {name: getattr(given, name) for name in names if getattr(given, name) != getattr(before, name)}
    terms = {
        name: getattr(given.terms, name)
        for name in Terms.model_fields
        if getattr(given.terms, name) != getattr(before.terms, name)
    }
    return with_choices(replace(known, **changed, terms=known.terms.model_copy(update=terms), loaded=given))


def with_choices(offer: Offer) -> Offer:
    """Add to ``choices`` the fields that a person changed here: the announcement does not state them."""
    given = offer.loaded
    if given is None:
        return offer
    names = ("format", "title", "summary", "themes", "terms")
    changed = (name for name in names if getattr(offer, name) != getattr(given, name))
    added = changed if offer.source == Source.COMMUNIQUE else ()
    return replace(offer, choices=tuple(dict.fromkeys((*given.choices, *added))))


def changed_for_ever(planned: Session, known: Session) -> tuple[str, ...]:
    return tuple(name for name in _FIXED if getattr(planned, name) != getattr(known, name))


def with_presentation(session: Session, presentation: Presentation) -> Session:
    loaded = session.loaded
    if loaded is not None and presentation.source == Source.COMMUNIQUE:
        shown = (
            name
            for name in ("summary", "experts")
            if getattr(loaded.presentation, name) != getattr(presentation, name)
        )
        choices = (*loaded.presentation.choices, *differences(loaded.plan, session.plan), *shown)
        presentation = replace(presentation, choices=tuple(dict.fromkeys(choices)))
    return replace(session, presentation=presentation)


_T = TypeVar("_T", Plan, Presentation)


def _with_changes(now: _T, given_before: _T, given: _T) -> _T:
    names = [field.name for field in fields(given)]
    new = {name: getattr(given, name) for name in names}
    return replace(
        now, **{name: value for name, value in new.items() if value != getattr(given_before, name)}
    )
