"""Whether a session has a seat, and the sentence that says so."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.catalogue.pages import field_labels
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.availability import (
    Access,
    SeatAvailability,
    availability,
    misses_minimum,
)
from services.catalogue.rules.bespoke import BespokeState
from services.catalogue.rules.resources import CHANGEABLE, Kind
from services.catalogue.rules.sessions import Occupancy, Plan
from services.catalogue.store.audit_log import Action
from shared.events.catalogue import Audience, BespokeAnswer, ReservedSeats
from shared.events.vocabulary import ApprovalPolicy, Delegation, Format, Function, Status, WaitingList
from shared.events.zones import zone_of
from shared.web import labels
from shared.web.rendering import Rendering
from tests.unit.catalogue.builders import (
    AFTER,
    BEFORE,
    CLOSES,
    ENDS,
    OPENS,
    STARTS,
    WHILE_CLOSED,
    WHILE_OPEN,
    a_plan,
    a_published_session,
)

PHRASES = Rendering(TEMPLATES).module("phrases.html")
RELEASED = datetime(2025, 3, 31, 22, tzinfo=UTC)
TO_AUVERGNE = "aux agentes et agents de la délégation Auvergne-Rhône-Alpes"
KEPT = (ReservedSeats(delegation="auvergne-rhone-alpes", seats=60, release_at=RELEASED),)


def taken(enrolled: int, *, waiting: int = 0, offered: int = 0) -> Occupancy:
    return Occupancy(7, 100, enrolled, waiting, offered)


def text_of(occupancy: Occupancy | None = None, at: datetime = WHILE_OPEN, **plan: Any) -> str:
    session = a_published_session(**plan)
    return str(PHRASES.availability_text(session, availability(session, occupancy, at))).replace(
        "\u00a0", " "
    )


@pytest.mark.parametrize(
    ("occupancy", "plan", "expected"),
    [
        (None, {}, "100 places restantes"),
        (taken(88), {}, "12 places restantes"),
        (taken(99), {}, "1 place restante"),
        (taken(90, offered=4), {}, "6 places restantes"),
        (taken(100), {}, "Complet"),
        (taken(104), {"capacity": 100}, "Complet"),
        (taken(0), {"capacity": 0}, "Complet"),
        (taken(100), {"waiting_list": WaitingList.OFFER}, "Complet, liste d’attente ouverte"),
        (
            taken(100, waiting=12),
            {"waiting_list": WaitingList.AUTOMATIC},
            "Complet, liste d’attente ouverte (12 personnes)",
        ),
        (
            taken(70, waiting=3),
            {"waiting_list": WaitingList.OFFER, "reserved_seats": KEPT},
            f"30 places réservées {TO_AUVERGNE}, liste d’attente ouverte",
        ),
        # Free seats that are nobody's in particular belong to the line.
        (
            taken(70, waiting=3),
            {"waiting_list": WaitingList.OFFER},
            "Complet, liste d’attente ouverte (3 personnes)",
        ),
        (taken(500), {"capacity": None}, "Inscriptions ouvertes, sans limite de places"),
        (taken(1), {"approval": ApprovalPolicy.SELECTION}, "Candidatures ouvertes, 100 places au total"),
        (
            taken(1),
            {"approval": ApprovalPolicy.EMPLOYER_THEN_SELECTION},
            "Candidatures ouvertes, 100 places au total",
        ),
        # A capacity that was just raised counts at once, whatever the enrolment service has seen.
        (Occupancy(7, 50, 50, 0, 0), {}, "50 places restantes"),
    ],
)
def test_the_text_says_how_many_seats_are_left(occupancy: Occupancy | None, plan: Any, expected: str) -> None:
    assert text_of(occupancy, **plan) == expected


@pytest.mark.parametrize(
    ("occupancy", "plan", "at", "missed"),
    [
        (taken(11), {}, WHILE_CLOSED, True),
        (None, {}, WHILE_CLOSED, True),
        (taken(12), {}, WHILE_CLOSED, False),
        (taken(10, offered=2), {}, WHILE_CLOSED, False),
        (taken(11), {}, WHILE_OPEN, False),
        (taken(11), {}, STARTS, False),
        (taken(0), {"minimum": None}, WHILE_CLOSED, False),
        (taken(0), {"approval": ApprovalPolicy.SELECTION}, WHILE_CLOSED, False),
        (taken(1), {"approval": ApprovalPolicy.SELECTION}, WHILE_CLOSED, True),
    ],
)
def test_under_its_minimum_a_session_is_to_be_decided_on_from_the_close_to_the_start(
    occupancy: Occupancy | None, plan: Any, at: datetime, missed: bool
) -> None:
    """Rule 15."""
    session = a_published_session(**{"minimum": 12} | plan)
    assert misses_minimum(session, occupancy, at) is missed
    assert not misses_minimum(replace(session, status=Status.CANCELLED), occupancy, at)


def kept_for(*delegations: str, seats: int) -> tuple[ReservedSeats, ...]:
    return tuple(ReservedSeats(delegation=code, seats=seats, release_at=RELEASED) for code in delegations)


@pytest.mark.parametrize(
    ("enrolled", "reserved", "expected"),
    [
        (0, KEPT, f"100 places restantes, dont 60 réservées {TO_AUVERGNE}"),
        (10, KEPT, f"90 places restantes, dont 60 au plus réservées {TO_AUVERGNE}"),
        (39, KEPT, f"61 places restantes, dont 60 au plus réservées {TO_AUVERGNE}"),
        (40, KEPT, f"60 places restantes, peut-être toutes réservées {TO_AUVERGNE}"),
        (99, KEPT, f"1 place restante, peut-être réservée {TO_AUVERGNE}"),
        (
            97,
            kept_for("corse", seats=1),
            "3 places restantes, dont 1 au plus réservée aux agentes et agents de la délégation Corse",
        ),
        (
            10,
            kept_for("bretagne", "corse", seats=50),
            "90 places restantes, toutes réservées aux agentes et agents des délégations Bretagne et Corse",
        ),
        (
            10,
            kept_for("bretagne", "corse", "guyane", "mayotte", seats=1),
            "90 places restantes, dont 4 au plus réservées aux agentes et agents de 4 délégations",
        ),
        (100, KEPT, "Complet"),
    ],
)
def test_a_seat_that_may_be_reserved_is_not_told_as_free_for_all(
    enrolled: int, reserved: tuple[ReservedSeats, ...], expected: str
) -> None:
    assert text_of(taken(enrolled), reserved_seats=reserved) == expected
    assert text_of(taken(enrolled), at=RELEASED, reserved_seats=reserved) == text_of(
        taken(enrolled), at=RELEASED
    )


def test_what_awaits_the_others_is_said_where_every_seat_may_be_reserved() -> None:
    for enrolled, maybe_all_reserved in ((0, False), (39, False), (40, True), (99, True), (100, False)):
        known = availability(a_published_session(reserved_seats=KEPT), taken(enrolled), WHILE_OPEN)
        assert known.maybe_all_reserved is maybe_all_reserved
    assert not availability(a_published_session(), taken(40), WHILE_OPEN).maybe_all_reserved
    assert "sont refusées" in PHRASES.without_reservation(a_plan())
    assert "liste d’attente" in PHRASES.without_reservation(a_plan(waiting_list=WaitingList.OFFER))


def test_a_session_that_runs_says_so_whether_one_may_still_enrol_or_not() -> None:
    mooc: dict[str, Any] = {"capacity": None, "enrolment_closes_at": ENDS}
    assert text_of(at=STARTS, **mooc) == "Session en cours, inscriptions ouvertes, sans limite de places"
    assert text_of(at=STARTS - timedelta(seconds=1), **mooc) == "Inscriptions ouvertes, sans limite de places"
    assert text_of(at=ENDS, **mooc) == "Session terminée"
    cancelled = replace(a_published_session(), status=Status.CANCELLED)
    assert PHRASES.availability_text(cancelled, availability(cancelled, None, STARTS)) == "Session annulée"


def test_the_door_opens_and_closes_at_the_instant() -> None:
    soon = timedelta(microseconds=1)
    assert text_of(at=OPENS - soon) == "Inscriptions à partir du lundi 3 mars 2025 à 9 h, heure de Paris"
    midnight = datetime(2025, 3, 2, 23, tzinfo=UTC)
    opens_then = text_of(at=midnight - soon, enrolment_opens_at=midnight)
    assert opens_then == "Inscriptions à partir du lundi 3 mars 2025"
    assert text_of(at=OPENS) == "100 places restantes"
    assert text_of(at=CLOSES - soon) == "100 places restantes"
    assert text_of(at=CLOSES) == "Inscriptions closes le jeudi 10 avril 2025 à 9 h 30, heure de Paris"
    assert text_of(at=ENDS - soon).startswith("Session en cours, inscriptions closes")
    assert text_of(at=ENDS) == "Session terminée"


def test_a_deadline_at_midnight_is_given_by_its_last_day() -> None:
    midnight: dict[str, Any] = {"enrolment_closes_at": datetime(2025, 3, 28, 23, tzinfo=UTC)}
    assert text_of(at=WHILE_CLOSED, **midnight) == "Inscriptions closes le vendredi 28 mars 2025"
    assert PHRASES.until(a_plan(**midnight)) == "jusqu’au vendredi 28 mars 2025 inclus"


def test_a_full_webinar_promises_its_replay() -> None:
    webinar = replace(a_published_session(), format=Format.WEBINAR)
    assert (
        PHRASES.availability_text(webinar, SeatAvailability(Access.FULL))
        == "Complet, le replay sera accessible à tous"
    )


def test_a_cancelled_session_says_nothing_else() -> None:
    cancelled = replace(a_published_session(), status=Status.CANCELLED)
    for moment in (BEFORE, WHILE_OPEN, AFTER):
        known = availability(cancelled, taken(3), moment)
        assert (known.access, known.access.takes_requests) == (Access.CANCELLED, False)


def test_requests_are_taken_exactly_where_they_would_not_be_refused() -> None:
    can = {access for access in Access if access.takes_requests}
    assert can == {Access.APPLICATION, Access.UNLIMITED, Access.SEATS, Access.RESERVED, Access.QUEUE}


def test_reserved_seats_are_named_until_they_are_released() -> None:
    plan = a_plan(reserved_seats=KEPT)
    before = PHRASES.reservations(plan, RELEASED - timedelta(seconds=1))
    assert before.replace("\u00a0", " ").strip() == (
        "<p>60 places réservées aux agentes et agents de la délégation Auvergne-Rhône-Alpes "
        "jusqu’au lundi 31 mars 2025 inclus.</p>"
    )
    assert PHRASES.reservations(plan, RELEASED).strip() == ""


def test_who_may_enrol_is_given_by_function_never_by_category() -> None:
    leaders = Audience(functions=(Function.ENCADRANT, Function.CHEF_DE_SERVICE, Function.DIRIGEANT))
    assert PHRASES.audience(a_plan(audience=leaders)) == (
        "Encadrantes et encadrants, cheffes et chefs de service et dirigeantes et dirigeants"
    )
    assert PHRASES.audience(a_plan()) == "Toutes les agentes et tous les agents territoriaux"
    named = Audience(sirets=("21350238800019",))
    assert PHRASES.audience(a_plan(audience=named)).endswith(
        " des collectivités que la délégation a désignées"
    )


def test_a_delegation_overseas_has_its_own_hours() -> None:
    assert {zone_of(code) for code in Delegation} == set(labels.ZONES)
    assert zone_of("bretagne") == "Europe/Paris"


def test_every_code_has_a_name() -> None:
    assert len(set(labels.DELEGATIONS.values())) == len(Delegation)
    assert labels.DELEGATIONS["inset-angers"] == "Inset d’Angers"
    assert labels.DELEGATIONS["bretagne"] == "Bretagne"
    assert set(labels.PUBLISHED) == set(labels.RESOURCES) == set(labels.RESOURCES_PLURAL) == set(Kind)
    assert set(labels.BESPOKE_STATES) == set(BespokeState)
    assert set(labels.BESPOKE_ANSWERS) == set(BespokeAnswer)
    assert set(labels.ACTIONS) == set(Action)
    counts = [PHRASES.session_count(number) for number in (0, 1, 1200)]
    assert counts == ["aucune session", "1 session", "1\u202f200 sessions"]


def test_whatever_may_change_of_a_session_or_a_resource_has_a_label() -> None:
    assert "session_id" in CHANGEABLE
    plan = {field.name for field in fields(Plan)}
    assert {*CHANGEABLE, *plan, "summary", "experts"} <= set(field_labels.FIELDS)
    assert {*plan, "summary", "experts", "organiser", "terms", "format", "themes"} == set(
        field_labels.CHOICES
    )
