"""The offer in files: what the announcement states is stated, and what an editor gets wrong is named."""

import re
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.catalogue.offer_files import reading
from services.catalogue.offer_files.planning import OfferFiles
from services.catalogue.offer_files.reading import OfferError
from services.catalogue.rules.offers import Source, loaded_session_id
from services.catalogue.rules.resources import Kind
from services.catalogue.rules.sessions import Session
from services.catalogue.service.commands import SessionDraft
from shared.events.vocabulary import ApprovalPolicy, Delegation, Format, Function, WaitingList

PARIS = ZoneInfo("Europe/Paris")
OVERSEAS = {
    "guadeloupe": "America/Guadeloupe",
    "guyane": "America/Cayenne",
    "la-reunion": "Indian/Reunion",
    "martinique": "America/Martinique",
    "mayotte": "Indian/Mayotte",
}


@pytest.fixture(scope="module")
def offer() -> OfferFiles:
    return reading.read(reading.OFFER)


def sessions_of(offer: OfferFiles, format_: Format) -> list[Session]:
    return [planned.session for planned in offer.sessions if planned.session.format is format_]


MONTHS = "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"

# ------------------------------------------------------------------------- what the announcement says


def test_all_six_formats_are_offered(offer: OfferFiles) -> None:
    assert {entry.format for entry in offer.offers} == set(Format)
    assert {resource.kind for resource in offer.resources} == set(Kind)


def test_the_mooc_is_the_one_of_the_announcement(offer: OfferFiles) -> None:
    (mooc,) = sessions_of(offer, Format.MOOC)
    assert mooc.presentation.source == Source.COMMUNIQUE
    assert mooc.plan.title == "Les fondamentaux de l’IA"
    assert mooc.plan.capacity is None
    assert mooc.plan.approval is ApprovalPolicy.NONE
    assert mooc.plan.starts_at == datetime(2025, 3, 16, 23, tzinfo=UTC)
    assert mooc.plan.enrolment_closes_at == datetime(2025, 3, 28, 23, tzinfo=UTC)
    assert mooc.plan.ends_at == datetime(2025, 4, 11, 22, tzinfo=UTC)


def test_the_moocs_three_seances_fill_it_without_a_gap(offer: OfferFiles) -> None:
    (mooc,) = sessions_of(offer, Format.MOOC)
    bounds = [mooc.plan.starts_at, *(module.ends_at for module in mooc.plan.modules)]
    assert [module.starts_at for module in mooc.plan.modules] == bounds[:3]
    assert bounds[3] == mooc.plan.ends_at
    assert {bound.astimezone(PARIS).time() for bound in bounds} == {time(0)}


def test_a_date_that_was_moved_is_not_presented_as_the_announcements(offer: OfferFiles) -> None:
    moved = reading.read(reading.OFFER, shift=timedelta(weeks=88))
    (mooc,) = sessions_of(moved, Format.MOOC)
    dates = {"starts_at", "ends_at", "enrolment_opens_at", "enrolment_closes_at", "modules"}
    assert dates | {"organiser", "join_url"} == set(mooc.presentation.choices)
    (unmoved,) = sessions_of(offer, Format.MOOC)
    assert not {"starts_at", "ends_at", "enrolment_closes_at"} & set(unmoved.presentation.choices)


def test_texts_name_no_date_which_would_stay_when_the_dates_move(offer: OfferFiles) -> None:
    texts = [planned.session.plan.title for planned in offer.sessions]
    texts += [text for entry in offer.offers for text in (entry.title, entry.summary)]
    texts += [text for entry in offer.resources for text in (entry.title, entry.summary or "")]
    texts += [planned.session.presentation.summary or "" for planned in offer.sessions]
    dated = re.compile(rf"\b(?:{MONTHS}|20\d\d)\b", re.IGNORECASE)
    assert [text for text in texts if dated.search(text)] == []


def test_what_the_announcement_does_not_say_is_not_presented_as_said(offer: OfferFiles) -> None:
    announced = [
        planned.session
        for planned in offer.sessions
        if planned.session.presentation.source == Source.COMMUNIQUE
    ]
    assert [session.format for session in announced] == [Format.MOOC]
    assert {"enrolment_opens_at", "modules", "organiser", "join_url"} <= set(
        announced[0].presentation.choices
    )
    assert {resource.source for resource in offer.resources} == {Source.ILLUSTRATIVE}
    assert all("terms" in entry.choices for entry in offer.offers if entry.format is not Format.MOOC)


def test_every_regional_delegation_has_a_local_event_between_april_and_june(offer: OfferFiles) -> None:
    events = sessions_of(offer, Format.LOCAL_EVENT)
    regional = {code.value for code in Delegation if not code.startswith("ins") and code != "inet"}
    assert len(regional) == 18
    assert {event.organiser for event in events} == regional
    for event in events:
        starts = event.plan.starts_at.astimezone(ZoneInfo(event.plan.timezone))
        assert date(2025, 4, 1) <= starts.date() <= date(2025, 6, 30)
        assert starts.weekday() < 5, event.organiser


def test_a_local_event_is_told_in_the_time_of_its_place(offer: OfferFiles) -> None:
    for event in sessions_of(offer, Format.LOCAL_EVENT):
        assert event.plan.timezone == OVERSEAS.get(event.organiser, "Europe/Paris"), event.organiser
        starts = event.plan.starts_at.astimezone(ZoneInfo(event.plan.timezone))
        assert time(8) <= starts.time() <= time(10), event.organiser


def test_a_local_event_closes_five_days_before_and_keeps_seats_for_its_own_agents(
    offer: OfferFiles,
) -> None:
    for event in sessions_of(offer, Format.LOCAL_EVENT):
        assert event.plan.starts_at - event.plan.enrolment_closes_at == timedelta(days=5), event.organiser
        (kept,) = event.plan.reserved_seats
        assert kept.delegation == event.organiser
        assert kept.release_at < event.plan.enrolment_closes_at
        assert event.plan.capacity is not None
        assert kept.seats < event.plan.capacity
        assert event.plan.waiting_list is WaitingList.OFFER
        assert event.plan.offer_hold_hours == 48


def test_a_webinar_can_be_joined_until_it_starts_and_has_no_waiting_list(offer: OfferFiles) -> None:
    webinars = sessions_of(offer, Format.WEBINAR)
    for webinar in webinars:
        assert webinar.plan.enrolment_closes_at == webinar.plan.starts_at
        assert webinar.plan.waiting_list is WaitingList.NONE
        assert webinar.presentation.experts
    assert {webinar.plan.capacity is None for webinar in webinars} == {True, False}


def test_the_inet_offer_is_for_those_who_lead_by_function_after_selection(offer: OfferFiles) -> None:
    leaders = {Function.ENCADRANT, Function.CHEF_DE_SERVICE, Function.DIRIGEANT}
    sessions = sessions_of(offer, Format.INET)
    assert sessions
    for session in sessions:
        assert set(session.plan.audience.functions) == leaders
        assert session.plan.approval is ApprovalPolicy.SELECTION
        assert session.plan.capacity == 20


def test_bespoke_training_has_three_themes_and_no_public_session(offer: OfferFiles) -> None:
    assert Counter(entry.format for entry in offer.offers)[Format.BESPOKE] == 3
    assert sessions_of(offer, Format.BESPOKE) == []


@pytest.mark.parametrize(
    ("requested", "minimum"),
    [
        ({}, 12),
        ({"capacity": 12}, 12),
        ({"capacity": 8}, 8),
        ({"capacity": 0}, None),
        ({"capacity": None}, 12),
        ({"minimum": 6}, 6),
        ({"minimum": None}, None),
    ],
)
def test_a_bespoke_session_needs_twelve_or_all_its_seats_unless_it_says_otherwise(
    offer: OfferFiles, requested: dict[str, Any], minimum: int | None
) -> None:
    """Rule 14."""
    dates = {"starts_at": "2025-06-03T07:00:00Z", "ends_at": "2025-06-03T15:00:00Z"}
    opens = {"enrolment_opens_at": "2025-04-01T07:00:00Z"}
    for bespoke in offer.offers:
        if bespoke.format is Format.BESPOKE:
            draft = SessionDraft.model_validate({"offer_id": bespoke.offer_id} | dates | opens | requested)
            assert draft.plan_under(bespoke).minimum == minimum


def test_ids_do_not_depend_on_the_dates_nor_on_the_day_of_loading(offer: OfferFiles) -> None:
    shifted = reading.read(reading.OFFER, shift=timedelta(days=614))
    ids = [planned.session.session_id for planned in offer.sessions]
    assert [planned.session.session_id for planned in shifted.sessions] == ids
    assert len(set(ids)) == len(offer.sessions)
    assert loaded_session_id("mooc-fondamentaux-ia", "printemps-2025").version == 5


# ------------------------------------------------------------------------------------------- the shift


@pytest.mark.parametrize("days", [1, 14, 30, 180, 614, -400])
def test_a_shifted_offer_keeps_its_hours_across_clock_changes(offer: OfferFiles, days: int) -> None:
    shifted = reading.read(reading.OFFER, shift=timedelta(days=days))
    for before, after in zip(offer.sessions, shifted.sessions, strict=True):
        zone = ZoneInfo(before.session.plan.timezone)
        for field in ("enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at"):
            was: datetime = getattr(before.session.plan, field).astimezone(zone)
            becomes: datetime = getattr(after.session.plan, field).astimezone(zone)
            assert becomes.time() == was.time(), f"{before.where}: {field}"
            assert becomes.date() - was.date() == timedelta(days=days)


# ------------------------------------------------------------------------------------------- bad files

GOOD = """
themes: [{theme: enjeux-ia, title: Enjeux}]
offers:
  - offer_id: essai
    source: illustrative
    format: local_event
    title: Essai
    summary: Un essai.
    themes: [enjeux-ia]
    sessions:
      - key: lyon
        source: illustrative
        organiser: auvergne-rhone-alpes
        enrolment_opens_at: 2025-03-03 09:00
        starts_at: 2025-04-15 09:00
        ends_at: 2025-04-15 16:30
        capacity: 10
        venue: Lyon
resources:
  - key: dossier
    source: illustrative
    kind: dossier
    title: Dossier
    url: https://ressources.example.org/dossier
    published_at: 2025-02-26 10:00
"""


def read(tmp_path: Path, text: str) -> OfferFiles:
    (tmp_path / "essai.yaml").write_text(text, encoding="utf-8")
    return reading.read(tmp_path)


def test_a_small_offer_of_ones_own_can_be_read(tmp_path: Path) -> None:
    assert len(read(tmp_path, GOOD).sessions) == 1


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ("capacity: 10", "capacity: -1", "essai.yaml, offer essai, session lyon: capacity: "),
        ("capacity: 10", "capacitiy: 10", "essai.yaml, offer essai, session lyon: capacitiy: "),
        ("organiser: auvergne-rhone-alpes", "organiser: atlantide", "session lyon: organiser: "),
        ("key: lyon", "key: Lyon", "essai.yaml, offer essai, session Lyon: key: "),
        ("starts_at: 2025-04-15 09:00", "starts_at: bientôt", "session lyon: starts_at: "),
        ("starts_at: 2025-04-15 09:00", "starts_at: 2025-04-15T09:00:00Z", "session lyon: starts_at: "),
        ("ends_at: 2025-04-15 16:30", "ends_at: 2025-04-14 16:30", "session lyon: ends_at: "),
        ("        venue: Lyon\n", "", "session lyon: venue: a published session has a venue or a join_url"),
        ("capacity: 10", "timezone: Europe/Lyon", "session lyon: timezone: "),
        ("capacity: 10", "choices: [capacitiy]", "session lyon: choices: 'capacitiy' is not a field"),
        (
            "themes: [enjeux-ia]",
            "themes: [autre]",
            "essai.yaml, offer essai: themes: autre is not in any list",
        ),
        ("source: illustrative\n    format", "format", "essai.yaml, offer essai: source: "),
        (
            "source: illustrative\n    kind",
            "source: rumeur\n    kind",
            "essai.yaml, resource dossier: source: ",
        ),
        ("kind: dossier", "kind: replay", "resource dossier: organiser: a replay needs the organiser"),
        (
            "kind: dossier",
            "kind: dossier\n    session: essai/lyon",
            "session: only a replay records a session",
        ),
        (
            "kind: dossier",
            "kind: replay\n    organiser: corse\n    session: essai/lille",
            "resource dossier: session: essai/lille is in no file",
        ),
        ("themes: [{theme", "themes: [{them", "essai.yaml, theme number 1: theme: "),
        ("offers:", "offers: [", "essai.yaml: is not readable YAML: "),
        ("offer_id: essai", "offer_id: [essai", "essai.yaml: is not readable YAML: "),
    ],
)
def test_a_fault_names_the_file_the_entry_and_the_field(
    tmp_path: Path, good: str, bad: str, complaint: str
) -> None:
    assert good in GOOD
    with pytest.raises(OfferError) as caught:
        read(tmp_path, GOOD.replace(good, bad, 1))
    assert complaint in str(caught.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "autre.yaml").write_text("offers: 3", encoding="utf-8")
    with pytest.raises(OfferError) as caught:
        read(tmp_path, GOOD.replace("capacity: 10", "capacity: -1").replace("kind: dossier", "kind: livre"))
    assert len(str(caught.value).splitlines()) == 3


def test_an_entry_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "autre.yaml").write_text(GOOD.replace("themes: [enjeux-ia]", ""), encoding="utf-8")
    with pytest.raises(OfferError) as caught:
        read(tmp_path, GOOD)
    assert str(caught.value).splitlines() == [
        "essai.yaml, offer essai: is there twice",
        "essai.yaml, offer essai, session lyon: is there twice",
        "essai.yaml, resource dossier: is there twice",
    ]


@pytest.mark.parametrize("content", ["", "- 1", "texte", "offers: null"])
def test_a_file_that_is_no_offer_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(OfferError, match=r"essai\.yaml: "):
        read(tmp_path, content)


def test_a_folder_without_files_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(OfferError, match=r"has no \*\.yaml file"):
        reading.read(tmp_path)
