"""News: which subscribers they are for, and that a day has one letter."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import letters
from services.notifier.letters import Interest, InterestKind, NewsKind
from shared.events.catalogue import ReplayPublished, ResourcePublished
from shared.web import labels
from tests.unit.notifier.builders import a_session, at, some_news, the_mooc

NOW = at("2025-03-10T12:00+01:00")


def a_resource(**changes: object) -> ResourcePublished:
    fields = {
        "resource_id": uuid4(),
        "version": 1,
        "title": "Dossier",
        "url": "https://r.example/1",
        "themes": ["enjeux-ia"],
        "published_at": NOW,
        "kind": "dossier",
    }
    return ResourcePublished.model_validate(fields | changes)


def test_a_resource_is_news_for_followers_of_its_theme_community_or_delegation() -> None:
    community = letters.news_of(a_resource(themes=["enjeux-ia", "transition-numerique"], kind="community"))
    replay = ReplayPublished.model_validate(a_resource().model_dump() | {"organiser": "bretagne"})
    assert community.kind is NewsKind.COMMUNITY
    assert set(map(str, community.interests)) == {
        f"{kind}:{theme}"
        for kind in ("theme", "community")
        for theme in ("enjeux-ia", "transition-numerique")
    }
    assert Interest(InterestKind.DELEGATION, "bretagne") in letters.news_of(replay).interests


def test_an_event_of_a_delegation_is_news_while_enrolment_is_open() -> None:
    item = letters.news_of_session(a_session(), NOW)
    assert item is not None
    assert item.interests == (Interest(InterestKind.DELEGATION, "bretagne"),)
    assert letters.news_of_session(a_session(), a_session().enrolment_closes_at) is None
    assert letters.news_of_session(the_mooc(), NOW) is None
    assert letters.news_of_session(a_session(status="cancelled"), NOW) is None


@pytest.mark.parametrize(("days", "fresh"), [(0, True), (6, True), (7, False), (300, False)])
def test_what_opened_long_ago_is_no_news(days: int, *, fresh: bool) -> None:
    item = some_news(published_at=NOW - timedelta(days=days))
    assert letters.is_fresh(item, NOW) is fresh


@given(st.integers(0, 365 * 24 * 60))
def test_a_day_has_one_edition_and_what_is_late_for_it_goes_into_the_next(minutes: int) -> None:
    now = NOW + timedelta(minutes=minutes)
    edition = letters.next_edition(now)
    assert timedelta(minutes=10) < edition.due_at - now <= timedelta(hours=25, minutes=10)
    again = letters.next_edition(edition.due_at - timedelta(minutes=11))
    assert again == edition
    assert letters.next_edition(edition.due_at).edition_id != edition.edition_id


def test_every_theme_and_every_offer_has_its_label() -> None:
    folder = Path(__file__).parents[3] / "services/catalogue/offer"
    files = [yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")]
    themes = {entry["theme"] for file in files for entry in file.get("themes", ())}
    offers = [offer for file in files for offer in file.get("offers", ())]
    bespoke, public = (
        {offer["offer_id"]: offer["title"] for offer in offers if (offer["format"] == "bespoke") is private}
        for private in (True, False)
    )
    assert (public, bespoke) == (labels.OFFERS, labels.BESPOKE_OFFERS)
    assert themes == set(labels.THEMES)


def test_an_opening_is_news_for_followers_of_the_offer_everywhere_or_there() -> None:
    item = letters.news_of_opening(a_session(), NOW)
    assert item is not None
    assert set(map(str, item.interests)) == {"offer:ia-et-territoires", "offer:ia-et-territoires/bretagne"}
    assert item.announced == a_session().session_id
    here, elsewhere = (Interest.of_offer("ia-et-territoires", where) for where in ("bretagne", "corse"))
    session = a_session()
    known = {session.session_id: session}
    [announced] = letters.still_announced([item], known, [here], NOW)
    assert announced.event == session
    assert letters.still_announced([item], known, [here], session.enrolment_closes_at) == []
    assert letters.still_announced([item], {}, [here], NOW) == []
    assert letters.still_announced([item], known, [elsewhere], NOW) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "cancelled"},
        {"format": "bespoke"},
        {"audience": {"sirets": ["21350238800019"]}},
        {"enrolment_opens_at": at("2025-03-11T12:00+01:00")},
        {"enrolment_closes_at": NOW},
    ],
)
def test_what_the_public_cannot_enrol_in_now_has_not_opened_for_anybody(changes: dict[str, object]) -> None:
    assert letters.news_of_opening(a_session(**changes), NOW) is None


def test_a_letter_that_says_that_a_session_has_opened_does_not_announce_it_too() -> None:
    opened, announced = letters.news_of_opening(a_session(), NOW), letters.news_of_session(a_session(), NOW)
    assert opened is not None
    assert announced is not None
    items = [announced, opened, some_news()]
    followed = [interest for item in items for interest in item.interests]
    left = letters.still_announced(items, {a_session().session_id: a_session()}, followed, NOW)
    assert [item.item_id for item in left] == [opened.item_id, some_news().item_id]
