"""News reach their followers once a day, as they are when the letter leaves, unless withdrawn."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.letters import next_edition
from shared import clock
from shared.events.catalogue import SessionOpened
from shared.events.enrolment import AgentEnrolled
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import cancelled, scheduled
from tests.integration.notifier.events import changed as session_changed
from tests.integration.notifier.subscribing import a_dossier, a_replay, at_the_hour, changed, news, withdrawn
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent


async def test_news_go_to_followers_of_the_theme_delegation_or_community_alone(
    notifier: Notifier,
) -> None:
    await notifier.hear(
        changed("THEME", theme="enjeux-ia"),
        changed("DELEGATION", delegation="bretagne"),
        changed("COMMUNITY", community="enjeux-ia"),
        changed("OTHER", theme="evolution-des-metiers", delegation="corse"),
    )
    await notifier.hear(a_replay())
    assert await news(notifier) == {"THEME": 1, "DELEGATION": 1, "COMMUNITY": 1}


async def test_what_falls_in_one_day_is_one_letter(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    dossier = a_dossier()
    await notifier.hear(dossier, a_replay())
    await notifier.hear(dossier.model_copy(update={"version": 2, "title": "Dossier corrigé"}))
    assert await news(notifier) == {"A-1": 2}
    row = await notifier.row()
    assert abs(row.due_at - next_edition(clock.now()).due_at) < timedelta(days=1, seconds=1)
    assert await notifier.deliver() == 0, "not before its hour"
    (letter,) = await at_the_hour(notifier)
    assert "Dossier corrigé" in letter
    await notifier.hear(a_dossier())
    assert len(await notifier.rows()) == 1, "the edition of today is sent"


@pytest.mark.parametrize(("issuer", "letters"), [("iel", {}), ("martinique", {"IEL-0048151": 1})])
async def test_a_subscriber_who_was_enrolled_gets_one_letter_about_the_replay(
    known: Notifier, issuer: str, letters: dict[str, int]
) -> None:
    """The same identifier of another issuer is another agent."""
    await known.hear(a_decision(AgentEnrolled))
    await known.hear(changed("IEL-0048151", theme="enjeux-ia"), issuer=issuer)
    await known.hear(changed(theme="enjeux-ia"))
    await known.hear(a_replay(session_id=SESSION_ID))
    assert await news(known) == {"A-1": 1} | letters
    assert await known.addressees("replay-available") == ["IEL-0048151"]


async def test_an_agent_who_stops_gets_nothing_more_and_is_not_kept(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier())
    await notifier.hear(changed(subscribed=False))
    assert await notifier.states() == ["superseded"]
    assert await notifier.query("SELECT 1 FROM subscriber") == []


async def test_a_letter_announces_what_is_followed_when_it_leaves(notifier: Notifier) -> None:
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(changed("A-2", subscribed=False, delegation="bretagne"))
    await notifier.hear(a_dossier(title="Un dossier"), a_replay(title="Un replay", themes=["autre"]))
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, subscribed=False, theme="enjeux-ia"))
        await notifier.hear(changed(agent, delegation="corse"))
    (letter,) = await at_the_hour(notifier)
    assert ("Un replay" in letter, "Un dossier" in letter) == (True, False)
    states = {row.recipient: row.state for row in await notifier.rows()}
    assert states == {"A-1": "sent", "A-2": "superseded"}


async def test_what_was_withdrawn_is_no_news_and_a_letter_of_nothing_else_does_not_leave(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", theme="enjeux-ia"), changed("A-2", theme="autre"))
    replay = a_replay(title="Un replay", themes=["enjeux-ia", "autre"])
    await notifier.hear(a_dossier(title="Un dossier"), replay)
    assert await news(notifier) == {"A-1": 2, "A-2": 1}
    await notifier.hear(withdrawn(replay))
    (letter,) = await at_the_hour(notifier)
    assert ("Un dossier" in letter, "Un replay" in letter) == (True, False)
    states = {row.recipient: row.state for row in await notifier.rows()}
    assert states == {"A-1": "sent", "A-2": "superseded"}


async def test_a_resource_withdrawn_before_its_letters_are_queued_is_no_news(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    early, late = a_dossier(), a_dossier()
    await notifier.take(early)
    await notifier.take(withdrawn(early))
    await notifier.take(late, withdrawn(late))  # in one batch
    await notifier.fan_out()
    await notifier.hear(early.model_copy(update={"title": "Lue trop tard"}))  # as by a redrive
    assert await news(notifier) == {}


async def test_an_event_is_announced_as_it_is_when_the_letter_leaves_unless_it_was_cancelled(
    notifier: Notifier,
) -> None:
    event = {"format": "local_event", "enrolment_closes_at": clock.now() + timedelta(days=2)}
    await notifier.hear(changed(delegation="bretagne"))
    gone = {**event, "session_id": uuid4(), "title": "Annulé"}
    await notifier.hear(scheduled(**event), scheduled(**gone))
    assert await news(notifier) == {"A-1": 2}
    await notifier.hear(session_changed(**event, title="IA à Brest", venue="Le Quartz, Brest"))
    await notifier.hear(cancelled(**gone))
    (letter,) = await at_the_hour(notifier)
    assert ("IA à Brest" in letter, "Le Quartz, Brest" in letter, "Annulé" in letter) == (True, True, False)


async def test_the_agents_of_one_address_are_each_a_subscriber_also_those_of_other_issuers(
    notifier: Notifier,
) -> None:
    agents = [("iel", "A-2"), ("iel", "1001"), ("martinique", "1001"), (None, "1001")]
    for issuer, agent in agents:
        await notifier.hear(changed(agent, email="accueil@mairie.example", theme="enjeux-ia"), issuer=issuer)
    await notifier.hear(a_dossier())
    assert len(await notifier.rows(where="template = 'news'")) == 4
    ends = changed("1001", email="accueil@mairie.example", subscribed=False)
    await notifier.hear(ends, issuer="martinique")
    rows = await notifier.rows(where="template = 'news' AND state = 'pending'")
    assert sorted((row.issuer, row.recipient) for row in rows) == [
        ("", "1001"),
        ("iel", "1001"),
        ("iel", "A-2"),
    ]


def opened(**changes: Any) -> SessionOpened:
    dates = {
        "session_id": uuid4(),
        "enrolment_opens_at": clock.now() - timedelta(hours=1),
        "enrolment_closes_at": clock.now() + timedelta(days=5),
    }
    return SessionOpened.model_validate(a_session(**dates | changes).model_dump())


async def test_followers_of_an_offer_get_one_letter_about_all_its_sessions_that_open(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    await notifier.hear(changed("A-2", offer="ia-et-territoires", delegation="bretagne"))
    await notifier.hear(changed("A-3", offer="autre-offre"), changed("A-4", delegation="corse"))
    first, second = opened(), opened(organiser="martinique", title="IA à Fort-de-France")
    await notifier.hear(first, second)
    await notifier.hear(SessionOpened.model_validate(first.model_dump() | {"version": 10}))
    assert await news(notifier) == {"A-1": 2, "A-2": 1}
    letters = await at_the_hour(notifier)
    assert sorted("IA à Fort-de-France" in letter for letter in letters) == [False, True]
    assert all(mail.message["List-Unsubscribe"] for mail in notifier.relay.taken)


async def test_an_opening_is_no_news_to_participants_nor_a_week_later(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    event, agent = opened(), an_agent(agent_id="A-1")
    await notifier.hear(a_decision(AgentEnrolled, agent=agent, session_id=event.session_id))
    await notifier.hear(event)
    await notifier.hear(opened(), at=clock.now() - timedelta(days=8))
    assert await news(notifier) == {}
