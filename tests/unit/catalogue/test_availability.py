"""Whether a session has a seat, and the sentence that says so."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.catalogue.pages import field_labels
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.availability import Access, availability, misses_minimum
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
A_MOMENT = timedelta(microseconds=1)
AUVERGNE, CORSE = "auvergne-rhone-alpes", "corse"
TO_AUVERGNE = "aux agentes et agents de la délégation Auvergne-Rhône-Alpes"


def taken(enrolled: int, *, waiting: int = 0, offered: int = 0) -> Occupancy:
    return Occupancy(7, 100, enrolled, waiting, offered)


def kept_for(*delegations: str, seats: int = 60) -> dict[str, Any]:
    return {
        "reserved_seats": tuple(
            ReservedSeats(delegation=code, seats=seats, release_at=RELEASED) for code in delegations
        )
    }


def text_of(occupancy: Occupancy | None = None, at: datetime = WHILE_OPEN, **plan: Any) -> str:
    status, of_format = plan.pop("status", Status.PUBLISHED), plan.pop("format", Format.LOCAL_EVENT)
    session = replace(a_published_session(**plan), status=status, format=of_format)
    text = PHRASES.availability_text(session, availability(session, occupancy, at))
    return str(text).replace("\u00a0", " ")


BY_OFFER, AT_ONCE = {"waiting_list": WaitingList.OFFER}, {"waiting_list": WaitingList.AUTOMATIC}


@pytest.mark.parametrize(
    ("occupancy", "plan", "expected"),
    [
        (None, {}, "100 places restantes"),
        (taken(99), {}, "1 place restante"),
        (taken(90, offered=4), {}, "6 places restantes"),
        (taken(100), {}, "Complet"),
        (taken(104), {"capacity": 100}, "Complet"),
        (taken(0), {"capacity": 0}, "Complet"),
        (taken(100), {"format": Format.WEBINAR}, "Complet, le replay sera accessible à tous"),
        (taken(100), BY_OFFER, "Complet, liste d’attente ouverte"),
        (taken(100, waiting=12), AT_ONCE, "Complet, liste d’attente ouverte (12 personnes)"),
        (
            taken(70, waiting=3),
            BY_OFFER | kept_for(AUVERGNE),
            f"30 places réservées {TO_AUVERGNE}, liste d’attente ouverte",
        ),
        # Free seats that are nobody's in particular belong to the line.
        (taken(70, waiting=3), BY_OFFER, "Complet, liste d’attente ouverte (3 personnes)"),
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
    ("enrolled", "reserved", "expected"),
    [
        (0, kept_for(AUVERGNE), f"100 places restantes, dont 60 réservées {TO_AUVERGNE}"),
        (39, kept_for(AUVERGNE), f"61 places restantes, dont 60 au plus réservées {TO_AUVERGNE}"),
        (40, kept_for(AUVERGNE), f"60 places restantes, peut-être toutes réservées {TO_AUVERGNE}"),
        (99, kept_for(AUVERGNE), f"1 place restante, peut-être réservée {TO_AUVERGNE}"),
        (
            97,
            kept_for(CORSE, seats=1),
            "3 places restantes, dont 1 au plus réservée aux agentes et agents de la délégation Corse",
        ),
        (
            10,
            kept_for("bretagne", CORSE, seats=50),
            "90 places restantes, toutes réservées aux agentes et agents des délégations Bretagne et Corse",
        ),
        (
            10,
            kept_for("bretagne", CORSE, "guyane", "mayotte", seats=1),
            "90 places restantes, dont 4 au plus réservées aux agentes et agents de 4 délégations",
        ),
        (100, kept_for(AUVERGNE), "Complet"),
    ],
)
def test_a_seat_that_may_be_reserved_is_not_called_free_for_all(
    enrolled: int, reserved: dict[str, Any], expected: str
) -> None:
    session = a_published_session(**reserved)
    known = availability(session, taken(enrolled), WHILE_OPEN)
    assert text_of(taken(enrolled), **reserved) == expected
    assert known.maybe_all_reserved is ("peut-être" in expected or "toutes" in expected)
    assert text_of(taken(enrolled), RELEASED, **reserved) == text_of(taken(enrolled), RELEASED)


@pytest.mark.parametrize(
    ("reader", "occupancy", "reserved", "expected"),
    [
        (AUVERGNE, taken(10), kept_for(AUVERGNE), "90 places pour vous"),
        (CORSE, taken(10), kept_for(AUVERGNE), "30 places pour vous"),
        (CORSE, taken(10), kept_for(AUVERGNE, CORSE, seats=40), "50 places pour vous"),
        (CORSE, taken(10), kept_for("bretagne", AUVERGNE, seats=45), "peut-être toutes réservées"),
        (AUVERGNE, taken(98, waiting=3), kept_for(AUVERGNE), "2 places pour vous"),
        (CORSE, taken(98, waiting=3), kept_for(AUVERGNE), "2 places réservées"),
        (AUVERGNE, taken(10), {}, "90 places restantes"),
        (None, taken(10), kept_for(AUVERGNE), "90 places restantes, dont 60 au plus réservées"),
    ],
)
def test_seats_are_counted_for_the_delegation_of_the_reader(
    reader: str | None, occupancy: Occupancy, reserved: dict[str, Any], expected: str
) -> None:
    session = a_published_session(**reserved)
    known = availability(session, occupancy, WHILE_OPEN, reader)
    text = str(PHRASES.availability_text(session, known)).replace("\u00a0", " ")
    assert expected in text
    assert PHRASES.tone_of(known, session.plan).strip() == (
        "wait" if "liste d’attente" in text else "few" if "2 places" in text else "open"
    )


MOOC: dict[str, Any] = {"capacity": None, "enrolment_closes_at": ENDS}
AT_MIDNIGHT: dict[str, Any] = {"enrolment_closes_at": datetime(2025, 3, 28, 23, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("at", "plan", "expected"),
    [
        (OPENS - A_MOMENT, {}, "Inscriptions à partir du lundi 3 mars 2025 à 9 h, heure de Paris"),
        (
            OPENS - timedelta(days=9),
            {"enrolment_opens_at": datetime(2025, 3, 2, 23, tzinfo=UTC)},
            "Inscriptions à partir du lundi 3 mars 2025",
        ),
        (OPENS, {}, "100 places restantes"),
        (CLOSES - A_MOMENT, {}, "100 places restantes"),
        (CLOSES, {}, "Inscriptions closes le jeudi 10 avril 2025 à 9 h 30, heure de Paris"),
        (WHILE_CLOSED, AT_MIDNIGHT, "Inscriptions closes le vendredi 28 mars 2025"),
        (
            ENDS - A_MOMENT,
            {},
            "Session en cours, inscriptions closes le jeudi 10 avril 2025 à 9 h 30, heure de Paris",
        ),
        (ENDS, {}, "Session terminée"),
        (STARTS - A_MOMENT, MOOC, "Inscriptions ouvertes, sans limite de places"),
        (STARTS, MOOC, "Session en cours, inscriptions ouvertes, sans limite de places"),
        (OPENS - A_MOMENT, {"status": Status.CANCELLED}, "Session annulée"),
        (STARTS, {"status": Status.CANCELLED}, "Session annulée"),
        (ENDS, {"status": Status.CANCELLED}, "Session annulée"),
    ],
)
def test_the_door_opens_and_closes_at_the_instant(at: datetime, plan: dict[str, Any], expected: str) -> None:
    assert text_of(at=at, **plan) == expected


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


def test_requests_are_taken_exactly_where_they_would_not_be_refused() -> None:
    can = {access for access in Access if access.takes_requests}
    assert can == {Access.APPLICATION, Access.UNLIMITED, Access.SEATS, Access.RESERVED, Access.QUEUE}


def test_reserved_seats_are_named_until_they_are_released() -> None:
    plan = a_plan(**kept_for(AUVERGNE))
    before, after = [str(PHRASES.reservations(plan, at)) for at in (RELEASED - A_MOMENT, RELEASED)]
    assert f"60 places réservées {TO_AUVERGNE} jusqu’au lundi 31 mars 2025" in before.replace("\u00a0", " ")
    assert after.strip() == ""
    assert PHRASES.until(a_plan(**AT_MIDNIGHT)) == "jusqu’au vendredi 28 mars 2025 inclus"
    assert "sont refusées" in PHRASES.without_reservation(a_plan())
    assert "liste d’attente" in PHRASES.without_reservation(a_plan(**BY_OFFER))


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        (Audience(), "Toutes les agentes et tous les agents territoriaux"),
        (
            Audience(functions=(Function.ENCADRANT, Function.DIRIGEANT)),
            "Encadrantes et encadrants et dirigeantes et dirigeants",
        ),
    ],
)
def test_the_audience_is_named_by_function_never_by_category(audience: Audience, expected: str) -> None:
    assert PHRASES.audience(a_plan(audience=audience)) == expected


def test_every_code_and_every_field_has_a_name() -> None:
    assert {zone_of(code) for code in Delegation} == set(labels.ZONES)
    assert len(set(labels.DELEGATIONS.values())) == len(Delegation)
    assert set(labels.PUBLISHED) == set(labels.RESOURCES) == set(labels.RESOURCES_PLURAL) == set(Kind)
    assert set(labels.BESPOKE_STATES) == set(BespokeState)
    assert set(labels.BESPOKE_ANSWERS) == set(BespokeAnswer)
    assert set(labels.ACTIONS) == set(Action)
    plan = {field.name for field in fields(Plan)} | {"summary", "experts"}
    assert {*CHANGEABLE, *plan} <= set(field_labels.FIELDS)
    assert {*plan, "organiser", "terms", "format", "themes"} == set(field_labels.CHOICES)
