"""What a load of the offer's files makes of a session that is stored already, and what it leaves alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from services.catalogue.rules import changes
from services.catalogue.rules.loads import changed_for_ever, load, with_presentation
from services.catalogue.rules.offers import Source
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule
from services.catalogue.rules.sessions import Done, Loaded, Presentation, Session
from shared.events.catalogue import SessionChanged, SessionScheduled
from tests.unit.catalogue.builders import BEFORE, STARTS, a_draft, a_plan

ANNOUNCED = Presentation(summary="Quatre semaines.", source=Source.COMMUNIQUE, choices=("organiser",))


def planned(presentation: Presentation = ANNOUNCED, **plan: Any) -> Session:
    """A session as the files give it."""
    draft = replace(a_draft(**plan), version=0, presentation=presentation)
    return replace(draft, loaded=Loaded(draft.plan, presentation))


def loaded(session: Session, known: Session | None = None) -> Done:
    done = load(session, known, BEFORE)
    assert isinstance(done, Done), done
    return done


def changed(session: Session, **plan: Any) -> Session:
    """The session after an organiser has changed it."""
    done = changes.change(session, replace(session.plan, **plan), BEFORE)
    assert isinstance(done, Done), done
    return with_presentation(done.session, session.presentation)


def test_a_new_session_of_the_files_is_published_and_loaded_again_it_stays_as_it_is() -> None:
    first = loaded(planned())
    assert [type(event) for event in first.events] == [SessionScheduled]
    assert loaded(planned(), first.session) == Done(first.session)


def test_what_changed_in_the_files_changes_and_what_an_organiser_changed_stays() -> None:
    ours = changed(loaded(planned()).session, venue="Ailleurs")
    ours = with_presentation(ours, replace(ours.presentation, experts=("Une experte",)))
    assert loaded(planned(), ours) == Done(ours)
    again = loaded(planned(replace(ANNOUNCED, summary="Cinq semaines."), capacity=90), ours)
    assert [type(event) for event in again.events] == [SessionChanged]
    plan, shown = again.session.plan, again.session.presentation
    assert (plan.venue, plan.capacity) == ("Ailleurs", 90)
    assert (shown.summary, shown.experts) == ("Cinq semaines.", ("Une experte",))


def test_what_is_only_shown_changes_without_an_event() -> None:
    known = loaded(planned()).session
    again = loaded(planned(replace(ANNOUNCED, summary="Cinq semaines.")), known)
    assert (again.events, again.session.version) == ((), known.version)
    assert again.session.presentation.summary == "Cinq semaines."


def test_a_cancelled_session_stays_as_it_is() -> None:
    cancelled = changes.cancel(loaded(planned()).session, BEFORE)
    assert isinstance(cancelled, Done)
    assert loaded(planned(capacity=90), cancelled.session) == Done(cancelled.session)


def test_files_that_contradict_what_an_organiser_changed_are_refused() -> None:
    ours = changed(loaded(planned()).session, starts_at=STARTS + timedelta(hours=5))
    refused = load(planned(ends_at=STARTS + timedelta(hours=4)), ours, BEFORE)
    assert isinstance(refused, RefusedByRule)
    assert [violation.code for violation in refused.violations] == [RefusalCode.DATES_OUT_OF_ORDER]


def test_offer_format_and_organiser_never_change() -> None:
    known = loaded(planned()).session
    assert changed_for_ever(planned(), known) == ()
    assert changed_for_ever(replace(planned(), organiser="corse"), known) == ("organiser",)


def test_what_an_organiser_changed_is_not_presented_as_announced_not_even_after_a_load() -> None:
    known = loaded(planned()).session
    ours = with_presentation(changed(known, capacity=500), replace(ANNOUNCED, summary="Un autre propos."))
    assert ours.presentation.choices == ("organiser", "capacity", "summary")
    later = loaded(planned(starts_at=STARTS + timedelta(hours=1)), ours)
    assert later.session.presentation.choices == ours.presentation.choices
    back = changed(ours, capacity=a_plan().capacity)
    assert back.presentation.choices == ("organiser", "summary")
    illustrative = replace(ANNOUNCED, source=Source.ILLUSTRATIVE, choices=())
    other = changed(loaded(planned(illustrative)).session, capacity=500)
    assert other.presentation.choices == ()
