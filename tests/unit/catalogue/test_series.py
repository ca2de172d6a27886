"""A series: each row laid over what is in common, each session judged by itself, none made twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.catalogue.pages import series_form
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule
from services.catalogue.rules.series import MOST, SeriesSession, each_once, id_in, placed
from services.catalogue.rules.sessions import Done, Session
from shared.events.catalogue import SessionOpened, SessionScheduled
from shared.events.vocabulary import Status
from shared.web.form_errors import FormError
from tests.unit.catalogue.builders import AFTER, BEFORE, STARTS, WHILE_OPEN, a_draft
from tests.unit.catalogue.test_offers import an_offer

KEY = UUID(int=1)

# ------------------------------------------------------------------------------------------------ rules


def made(session: SeriesSession | RefusedByRule) -> SeriesSession:
    assert isinstance(session, SeriesSession), session
    return session


def refusals(session: SeriesSession | RefusedByRule) -> list[RefusalCode | None]:
    assert isinstance(session, RefusedByRule), session
    return [violation.code for violation in session.violations]


def test_a_session_starts_on_its_own_day_and_all_its_dates_move_with_it() -> None:
    week = timedelta(days=7)
    plan = made(placed(a_draft(), STARTS + week, published=False, now=BEFORE)).draft.plan
    common = a_draft().plan
    for field in ("starts_at", "ends_at", "enrolment_closes_at"):
        assert getattr(plan, field) - getattr(common, field) == week
    as_it_is = placed(a_draft(), None, published=False, now=BEFORE)
    assert as_it_is == SeriesSession(a_draft(), Done(a_draft()))


def test_a_session_is_published_by_the_rules_of_any() -> None:
    session = made(placed(a_draft(), None, published=True, now=WHILE_OPEN))
    assert (session.draft, session.done.session.status) == (a_draft(), Status.PUBLISHED)
    assert [type(event) for event in session.done.events] == [SessionScheduled, SessionOpened]
    nowhere = a_draft(venue=None)
    assert refusals(placed(nowhere, None, published=True, now=BEFORE)) == [RefusalCode.NO_PLACE]
    assert made(placed(nowhere, None, published=False, now=BEFORE)).draft == nowhere


def test_the_same_town_place_and_start_twice_are_refused_once() -> None:
    def of_series(draft: Session) -> SeriesSession | RefusedByRule:
        draft = replace(draft, session_id=id_in(KEY, draft, None))
        return placed(draft, None, published=False, now=BEFORE)

    first, elsewhere, refused = of_series(a_draft()), of_series(a_draft(venue="Ailleurs")), RefusedByRule(())
    *others, again = each_once([first, refused, elsewhere, first])
    assert others == [first, refused, elsewhere]
    assert refusals(again) == [RefusalCode.TWICE_IN_SERIES]


def test_a_session_of_another_form_offer_organiser_title_place_or_start_is_another() -> None:
    draft = a_draft()
    others = [
        draft,
        replace(draft, offer_id="autre"),
        replace(draft, organiser="corse"),
        replace(draft, plan=replace(draft.plan, title="Autre")),
        replace(draft, plan=replace(draft.plan, venue="Ailleurs")),
    ]
    found = {id_in(KEY, each, None) for each in others}
    assert len(found | {id_in(KEY, draft, AFTER), id_in(UUID(int=2), draft, None)}) == 7
    assert id_in(KEY, draft, None) == id_in(KEY, replace(draft, reference="R"), draft.plan.starts_at)


# ------------------------------------------------------------------------------------------------- form

OFFERS = [an_offer()]


def a_series(*towns: dict[str, str], **common: str) -> dict[str, str]:
    fields = {
        "offer_id": "ia-et-territoires",
        "title": "L’IA à {ville}",
        "starts_at": "2027-03-22T09:30",
        "ends_at": "2027-03-22T17:00",
        "enrolment_opens_at": "2027-02-01T09:00",
        "venue": "Délégation",
        "capacity": "30",
    }
    empty = {"town": "", "venue": "", "delegation": "", "starts_at": "", "capacity": ""}
    rows = {
        f"towns-{number}-{name}": text
        for number, row in enumerate(towns)
        for name, text in (empty | row).items()
    }
    return fields | common | rows


@pytest.mark.parametrize(
    ("row", "common", "expected"),
    [
        ({}, {}, {"title": "L’IA à Brest", "venue": "Délégation", "capacity": 30, "organiser": "bretagne"}),
        ({"venue": "Mairie", "capacity": "12"}, {}, {"venue": "Mairie, Brest", "capacity": 12}),
        ({}, {"illimite": "oui"}, {"capacity": None}),
        ({"capacity": "9"}, {"illimite": "oui"}, {"capacity": 9}),
        ({}, {"title": ""}, {"title": "IA et territoires – Brest"}),
        ({}, {"title": "Journée"}, {"title": "Journée – Brest"}),
        ({"venue": "MAIRIE DE BREST"}, {}, {"venue": "MAIRIE DE BREST"}),
        ({"town": "Eu", "venue": "Hôtel de ville, Eu"}, {}, {"venue": "Hôtel de ville, Eu"}),
        ({"town": "Eu", "venue": "Lieu-dit du Moulin"}, {}, {"venue": "Lieu-dit du Moulin, Eu"}),
    ],
)
def test_a_row_has_what_is_in_common_but_for_what_it_says_itself(
    row: dict[str, str], common: dict[str, str], expected: dict[str, Any]
) -> None:
    typed = series_form.read(a_series({}, {"town": "Brest"} | row, **common), OFFERS, "bretagne")
    (session,) = typed.rows
    assert {name: getattr(session.draft, name) for name in expected} == expected
    assert (typed.errors, session.starts_at) == ({}, None)


def test_the_times_are_on_the_clocks_of_each_delegation_unless_the_form_says_whose() -> None:
    towns = ({"town": "Rennes", "delegation": "bretagne"}, {"town": "Cayenne", "delegation": "guyane"})
    for common, hours in (({}, 4), ({"timezone": "Europe/Paris"}, 0)):
        rennes, cayenne = series_form.read(a_series(*towns, **common), OFFERS, None).rows
        assert cayenne.draft.starts_at - rennes.draft.starts_at == timedelta(hours=hours)
    (own,) = series_form.read(a_series({**towns[0], "starts_at": "2027-03-29T14:00"}), OFFERS, None).rows
    assert own.starts_at is not None
    assert f"{own.starts_at:%d/%m %H:%M %Z}" == "29/03 12:00 UTC"


@pytest.mark.parametrize(
    ("row", "common", "expected"),
    [
        ({"venue": "Mairie"}, {}, {"towns-0-town": "required"}),
        ({"town": "Brest", "starts_at": "lundi"}, {}, {"towns-0-starts_at": "starts_at"}),
        ({"town": "Brest", "capacity": "x"}, {}, {"towns-0-capacity": "capacity"}),
        ({"town": "Brest"}, {"capacity": "x"}, {"capacity": "capacity"}),
        ({"town": "Brest"}, {"starts_at": ""}, {"starts_at": "required"}),
        ({"town": "Brest"}, {"offer_id": ""}, {"offer_id": "required"}),
        ({}, {}, {"towns": "towns_missing"}),
    ],
)
def test_an_error_stands_at_the_row_that_says_it_or_in_common(
    row: dict[str, str], common: dict[str, str], expected: dict[str, str]
) -> None:
    typed = series_form.read(a_series(row, **common), OFFERS, "bretagne")
    assert {name: error.code for name, error in typed.errors.items()} == expected


def test_an_organiser_for_all_says_for_which_delegation_each_row_is() -> None:
    typed = series_form.read(a_series({"town": "Brest"}), OFFERS, None)
    assert typed.errors == {"towns-0-delegation": FormError("required")}


def test_a_series_has_not_too_many_towns() -> None:
    many = [{"town": f"Ville {number}"} for number in range(MOST + 1)]
    assert series_form.read(a_series(*many), OFFERS, "bretagne").errors == {"towns": FormError("towns", MOST)}
    assert series_form.read(a_series(*many[:-1]), OFFERS, "bretagne").errors == {}


def test_a_refusal_of_a_date_stands_at_the_row_that_has_its_own() -> None:
    form = a_series({"town": "Brest"}, {"town": "Vannes", "starts_at": "2027-03-22T09:30"})
    ended = placed(a_draft(), None, published=True, now=AFTER)
    assert set(series_form.refused(form, [ended, ended])) == {"ends_at", "towns-1-starts_at"}


def test_the_form_that_was_previewed_is_told_from_another() -> None:
    form = a_series({"town": "Brest"}, {})
    same = dict(reversed(form.items())) | {"venue": "Délégation "}
    others = [form, form | {"towns-0-town": "Vannes"}, form | {"publier": "oui"}]
    assert series_form.digest(form) == series_form.digest(same)
    assert len({series_form.digest(other) for other in others}) == 3
