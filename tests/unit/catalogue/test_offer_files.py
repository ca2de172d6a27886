"""The offer in files: what the announcement states is stated, and what an editor gets wrong is named."""

import re
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from local.running import OFFER_DAY
from services.catalogue.offer_files import reading
from services.catalogue.offer_files.planning import OfferFiles
from services.catalogue.offer_files.reading import OfferError
from services.catalogue.rules.offers import Source
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
    formats = Counter(entry.format for entry in offer.offers)
    assert (set(formats), formats[Format.BESPOKE]) == (set(Format), 3)
    assert {resource.kind for resource in offer.resources} == set(Kind)
    assert sessions_of(offer, Format.BESPOKE) == []


def test_the_mooc_is_that_of_the_announcement(offer: OfferFiles) -> None:
    (mooc,) = sessions_of(offer, Format.MOOC)
    plan = mooc.plan
    assert mooc.presentation.source == Source.COMMUNIQUE
    assert (plan.title, plan.capacity, plan.approval) == ("Les fondamentaux de l’IA", None, "none")
    assert (plan.starts_at, plan.enrolment_closes_at, plan.ends_at) == (
        datetime(2025, 3, 16, 23, tzinfo=UTC),
        datetime(2025, 3, 28, 23, tzinfo=UTC),
        datetime(2025, 4, 11, 22, tzinfo=UTC),
    )
    bounds = [plan.starts_at, *(module.ends_at for module in plan.modules)]
    assert [module.starts_at for module in plan.modules] == bounds[:3], "séances without a gap"
    assert bounds[3] == plan.ends_at
    assert {bound.astimezone(PARIS).time() for bound in bounds} == {time(0)}


def test_only_what_the_announcement_says_is_presented_as_said(offer: OfferFiles) -> None:
    (mooc,) = sessions_of(offer, Format.MOOC)
    (moved,) = sessions_of(reading.read(reading.OFFER, shift=timedelta(weeks=88)), Format.MOOC)
    dates = {"starts_at", "ends_at", "enrolment_closes_at"}
    chosen = {"enrolment_opens_at", "modules", "organiser", "join_url"}
    assert set(mooc.presentation.choices) == chosen
    assert set(moved.presentation.choices) == dates | chosen
    sources = [(planned.session.format, planned.session.presentation.source) for planned in offer.sessions]
    assert [of_format for of_format, source in sources if source == Source.COMMUNIQUE] == [Format.MOOC]
    assert {resource.source for resource in offer.resources} == {Source.ILLUSTRATIVE}
    assert all("terms" in entry.choices for entry in offer.offers if entry.format is not Format.MOOC)


def test_texts_name_no_date_which_would_stay_when_the_dates_move(offer: OfferFiles) -> None:
    texts = [text for entry in offer.offers for text in (entry.title, entry.summary)]
    texts += [text or "" for entry in offer.resources for text in (entry.title, entry.summary)]
    for planned in offer.sessions:
        texts += [planned.session.plan.title, planned.session.presentation.summary or ""]
    dated = re.compile(rf"\b(?:{MONTHS}|20\d\d)\b", re.IGNORECASE)
    assert [text for text in texts if dated.search(text)] == []


def test_every_regional_delegation_has_a_local_event_between_april_and_june(offer: OfferFiles) -> None:
    events = sessions_of(offer, Format.LOCAL_EVENT)
    regional = {code.value for code in Delegation if not code.startswith("ins") and code != "inet"}
    assert len(regional) == 18
    assert {event.organiser for event in events} == regional
    for event in events:
        assert event.plan.timezone == OVERSEAS.get(event.organiser, "Europe/Paris"), event.organiser
        starts = event.plan.starts_at.astimezone(ZoneInfo(event.plan.timezone))
        assert date(2025, 4, 1) <= starts.date() <= date(2025, 6, 30)
        assert time(8) <= starts.time() <= time(10)
        assert starts.weekday() < 5


def test_a_local_event_closes_five_days_before_and_keeps_seats_for_its_own_agents(offer: OfferFiles) -> None:
    for plan, organiser in (
        (event.plan, event.organiser) for event in sessions_of(offer, Format.LOCAL_EVENT)
    ):
        (kept,) = plan.reserved_seats
        assert plan.starts_at - plan.enrolment_closes_at == timedelta(days=5)
        assert (kept.delegation, plan.waiting_list, plan.offer_hold_hours) == (organiser, "offer", 48)
        assert kept.release_at < plan.enrolment_closes_at
        assert kept.seats < (plan.capacity or 0)


def test_a_webinar_can_be_joined_until_it_starts_and_has_no_waiting_list(offer: OfferFiles) -> None:
    webinars = sessions_of(offer, Format.WEBINAR)
    for webinar in webinars:
        assert webinar.plan.enrolment_closes_at == webinar.plan.starts_at
        assert webinar.plan.waiting_list is WaitingList.NONE
        assert webinar.presentation.experts
    assert {webinar.plan.capacity is None for webinar in webinars} == {True, False}


def test_on_the_day_of_the_first_run_a_session_is_over_and_has_a_replay(offer: OfferFiles) -> None:
    morning = datetime.combine(OFFER_DAY, time(), PARIS)
    over = {
        planned.session.session_id for planned in offer.sessions if planned.session.plan.ends_at < morning
    }
    assert [
        resource.kind
        for resource in offer.resources
        if resource.session_id in over and resource.published_at < morning
    ] == [Kind.REPLAY]


def test_the_inet_offer_is_for_leaders_by_function_after_selection(offer: OfferFiles) -> None:
    plans = {
        (session.plan.approval, session.plan.capacity, frozenset(session.plan.audience.functions))
        for session in sessions_of(offer, Format.INET)
    }
    leaders = frozenset({Function.ENCADRANT, Function.CHEF_DE_SERVICE, Function.DIRIGEANT})
    assert plans == {(ApprovalPolicy.SELECTION, 20, leaders)}


@pytest.mark.parametrize(
    ("requested", "minimum"),
    [
        ({}, 12),
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
    for bespoke in (entry for entry in offer.offers if entry.format is Format.BESPOKE):
        draft = SessionDraft.model_validate({"offer_id": bespoke.offer_id} | dates | opens | requested)
        assert draft.plan_under(bespoke).minimum == minimum


# ------------------------------------------------------------------------------------------- the shift


@pytest.mark.parametrize("days", [30, 614, -400])
def test_a_shifted_offer_keeps_its_ids_and_its_hours_across_clock_changes(
    offer: OfferFiles, days: int
) -> None:
    shifted = reading.read(reading.OFFER, shift=timedelta(days=days))
    for before, after in zip(offer.sessions, shifted.sessions, strict=True):
        assert after.session.session_id == before.session.session_id
        zone = ZoneInfo(before.session.plan.timezone)
        for field in ("enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at"):
            was, becomes = (getattr(at.session.plan, field).astimezone(zone) for at in (before, after))
            assert becomes.replace(tzinfo=None) - was.replace(tzinfo=None) == timedelta(days=days), field
    assert len({planned.session.session_id for planned in offer.sessions}) == len(offer.sessions)


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


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ("capacity: 10", "capacity: -1", "essai.yaml, offer essai, session lyon: capacity: "),
        ("capacity: 10", "capacitiy: 10", "essai.yaml, offer essai, session lyon: capacitiy: "),
        ("organiser: auvergne-rhone-alpes", "organiser: atlantide", "session lyon: organiser: "),
        ("key: lyon", "key: Lyon", "essai.yaml, offer essai, session Lyon: key: "),
        ("starts_at: 2025-04-15 09:00", "starts_at: 2025-04-15T09:00:00Z", "session lyon: starts_at: "),
        ("ends_at: 2025-04-15 16:30", "ends_at: 2025-04-14 16:30", "session lyon: ends_at: "),
        ("        venue: Lyon\n", "", "session lyon: venue: a published session has a venue or a join_url"),
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
    ],
)
def test_a_fault_names_the_file_the_entry_and_the_field(
    tmp_path: Path, good: str, bad: str, complaint: str
) -> None:
    assert good in GOOD
    with pytest.raises(OfferError) as caught:
        read(tmp_path, GOOD.replace(good, bad, 1))
    assert complaint in str(caught.value)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("content", ["", "- 1", "texte", "offers: null", None])
def test_a_file_that_is_no_offer_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "essai.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(OfferError, match=r"essai\.yaml: |has no \*\.yaml file"):
        reading.read(tmp_path)
