"""A series: each row laid over what is in common, each session judged by itself, none made twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

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

# ------------------------------------------------------------------------------------------------ rules


def test_a_session_starts_on_its_own_day_and_all_its_dates_move_with_it() -> None:
    later = placed(a_draft(), STARTS + timedelta(days=7), published=False, now=BEFORE)
    assert isinstance(later, SeriesSession)
    plan, common = later.draft.plan, a_draft().plan
    assert plan.starts_at - common.starts_at == plan.ends_at - common.ends_at == timedelta(days=7)
    assert plan.enrolment_closes_at - common.enrolment_closes_at == timedelta(days=7)
    assert later.done.session == later.draft
    assert placed(a_draft(), None, published=False, now=BEFORE) == SeriesSession(a_draft(), Done(a_draft()))


def test_a_session_is_published_by_the_rules_of_any() -> None:
    made = placed(a_draft(), None, published=True, now=WHILE_OPEN)
    assert isinstance(made, SeriesSession)
    assert (made.draft.status, made.done.session.status) == (Status.DRAFT, Status.PUBLISHED)
    assert [type(event) for event in made.done.events] == [SessionScheduled, SessionOpened]
    nowhere = placed(a_draft(venue=None), None, published=True, now=BEFORE)
    assert isinstance(nowhere, RefusedByRule)
    assert nowhere.violations[0].code is RefusalCode.NO_PLACE
    assert isinstance(placed(a_draft(venue=None), None, published=False, now=BEFORE), SeriesSession)
    over = placed(a_draft(), None, published=True, now=AFTER)
    assert isinstance(over, RefusedByRule)


def test_the_same_town_place_and_start_twice_are_refused_once() -> None:
    def of_series(draft: Session) -> SeriesSession | RefusedByRule:
        draft = replace(draft, session_id=id_in(UUID(int=1), draft, None))
        return placed(draft, None, published=False, now=BEFORE)

    first, elsewhere = of_series(a_draft()), of_series(a_draft(venue="Ailleurs"))
    refused = RefusedByRule(())
    found = each_once([first, refused, elsewhere, first])
    assert found[:3] == [first, refused, elsewhere]
    assert isinstance(found[3], RefusedByRule)
    assert found[3].violations[0].code is RefusalCode.TWICE_IN_SERIES


def test_a_session_of_another_offer_organiser_title_place_or_start_is_another_of_the_series() -> None:
    draft, key = a_draft(), UUID(int=1)
    others = [
        replace(draft, offer_id="autre"),
        replace(draft, organiser="corse"),
        replace(draft, plan=replace(draft.plan, title="Autre")),
        replace(draft, plan=replace(draft.plan, venue="Ailleurs")),
    ]
    found = {id_in(key, each, None) for each in [draft, *others]} | {id_in(key, draft, AFTER)}
    assert len(found) == 6
    assert id_in(key, draft, None) == id_in(key, replace(draft, reference="R"), draft.plan.starts_at)


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


def test_a_row_has_what_is_in_common_but_for_what_it_says_itself() -> None:
    form = a_series(
        {"town": "Brest"},
        {},
        {"town": "Quimper", "venue": "Mairie", "capacity": "12", "starts_at": "2027-03-29T14:00"},
    )
    typed = series_form.read(form, OFFERS, "bretagne")
    assert typed.errors == {}
    brest, quimper = typed.rows
    assert (brest.draft.title, brest.draft.venue, brest.draft.capacity) == ("L’IA à Brest", "Délégation", 30)
    assert (quimper.draft.title, quimper.draft.venue, quimper.draft.capacity) == (
        "L’IA à Quimper",
        "Mairie, Quimper",
        12,
    )
    assert brest.draft.organiser == quimper.draft.organiser == "bretagne"
    assert brest.starts_at is None
    assert quimper.starts_at == datetime(2027, 3, 29, 14, tzinfo=ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("title", "expected"), [("", "IA et territoires – Brest"), ("Journée", "Journée – Brest")]
)
def test_the_town_follows_a_title_that_has_no_place_for_it(title: str, expected: str) -> None:
    (row,) = series_form.read(a_series({"town": "Brest"}, title=title), OFFERS, "bretagne").rows
    assert row.draft.title == expected


@pytest.mark.parametrize(
    ("venue", "town", "expected"),
    [
        ("Hôtel de ville, Eu", "Eu", "Hôtel de ville, Eu"),
        ("Lieu-dit du Moulin", "Eu", "Lieu-dit du Moulin, Eu"),
        ("MAIRIE DE BREST", "Brest", "MAIRIE DE BREST"),
    ],
)
def test_the_town_stands_behind_a_place_that_does_not_name_it(venue: str, town: str, expected: str) -> None:
    (row,) = series_form.read(a_series({"town": town, "venue": venue}), OFFERS, "bretagne").rows
    assert row.draft.venue == expected


def test_the_times_are_on_the_clocks_of_each_delegation_unless_the_form_says_whose() -> None:
    towns = ({"town": "Rennes", "delegation": "bretagne"}, {"town": "Cayenne", "delegation": "guyane"})
    rennes, cayenne = series_form.read(a_series(*towns), OFFERS, None).rows
    assert (rennes.draft.timezone, cayenne.draft.timezone) == ("Europe/Paris", "America/Cayenne")
    assert cayenne.draft.starts_at - rennes.draft.starts_at == timedelta(hours=4)
    _, in_paris = series_form.read(a_series(*towns, timezone="Europe/Paris"), OFFERS, None).rows
    assert in_paris.draft.starts_at == rennes.draft.starts_at


def test_unlimited_seats_in_common_give_way_to_the_seats_of_a_row() -> None:
    form = a_series({"town": "Brest"}, {"town": "Vannes", "capacity": "9"}, illimite="oui")
    brest, vannes = series_form.read(form, OFFERS, "bretagne").rows
    assert "capacity" in brest.draft.model_fields_set
    assert (brest.draft.capacity, vannes.draft.capacity) == (None, 9)


@pytest.mark.parametrize(
    ("row", "common", "expected"),
    [
        ({"venue": "Mairie"}, {}, {"towns-0-town": "required"}),
        ({"town": "Brest", "starts_at": "lundi"}, {}, {"towns-0-starts_at": "starts_at"}),
        ({"town": "Brest", "capacity": "x"}, {}, {"towns-0-capacity": "capacity"}),
        ({"town": "Brest"}, {"capacity": "x"}, {"capacity": "capacity"}),
        ({"town": "Brest"}, {"starts_at": ""}, {"starts_at": "required"}),
        ({"town": "Brest"}, {"offer_id": ""}, {"offer_id": "required"}),
    ],
)
def test_an_error_stands_at_the_row_that_says_it_or_in_common(
    row: dict[str, str], common: dict[str, str], expected: dict[str, str]
) -> None:
    typed = series_form.read(a_series(row, **common), OFFERS, "bretagne")
    assert {name: error.code for name, error in typed.errors.items()} == expected


def test_who_acts_for_all_says_for_which_delegation_each_row_is() -> None:
    typed = series_form.read(a_series({"town": "Brest"}), OFFERS, None)
    assert typed.errors == {"towns-0-delegation": FormError("required")}


def test_a_series_has_a_town_at_least_and_not_too_many() -> None:
    assert series_form.read(a_series({}), OFFERS, "bretagne").errors == {"towns": FormError("towns_missing")}
    many = [{"town": f"Ville {number}"} for number in range(MOST + 1)]
    assert series_form.read(a_series(*many), OFFERS, "bretagne").errors == {"towns": FormError("towns", MOST)}
    assert series_form.read(a_series(*many[:-1]), OFFERS, "bretagne").errors == {}


def test_what_the_rules_refuse_of_a_date_stands_at_the_row_that_has_its_own() -> None:
    form = a_series({"town": "Brest"}, {"town": "Vannes", "starts_at": "2027-03-22T09:30"})
    ended = placed(a_draft(), None, published=True, now=AFTER)
    assert set(series_form.refused(form, [ended, ended])) == {"ends_at", "towns-1-starts_at"}


def test_what_was_previewed_is_told_from_what_was_typed_since() -> None:
    form = a_series({"town": "Brest"}, {})
    assert series_form.digest(form) == series_form.digest(
        dict(reversed(form.items())) | {"venue": "Délégation "}
    )
    assert series_form.digest(form) != series_form.digest(form | {"towns-0-town": "Vannes"})
    assert series_form.digest(form) != series_form.digest(form | {"publier": "oui"})


def test_a_draft_of_a_series_is_the_one_that_is_published() -> None:
    made = placed(a_draft(), None, published=True, now=BEFORE)
    assert isinstance(made, SeriesSession)
    assert replace(made.done.session, status=Status.DRAFT, version=made.draft.version) == made.draft
