"""News: told once a day to who follows them, as they are when the letter leaves; withdrawn, to nobody."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from services.notifier.letters import next_edition
from shared import clock
from shared.events.catalogue import (
    SessionCancelled,
    SessionChanged,
    SessionOpened,
    SessionScheduled,
)
from shared.events.enrolment import AgentEnrolled
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.subscribing import a_dossier, a_replay, at_the_hour, changed, news, withdrawn
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent


async def test_news_go_to_who_follows_a_theme_a_delegation_or_a_community_and_to_nobody_else(
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
    await notifier.hear(dossier, a_replay(title="Un replay"))
    await notifier.hear(dossier.model_copy(update={"version": 2, "title": "Dossier corrigé"}))
    assert await news(notifier) == {"A-1": 2}
    row = await notifier.row()
    assert abs(row.due_at - next_edition(clock.now()).due_at) < timedelta(days=1, seconds=1)
    assert await notifier.deliver() == 0, "not before its hour"
    await notifier.change("UPDATE mail SET due_at = now()")
    assert await notifier.deliver() == 1
    (mail,) = notifier.relay.taken
    assert mail.message["Subject"] == "Deux nouveautés dans vos abonnements"
    body = mail.message.get_body(("plain",))
    assert body is not None
    assert "Dossier corrigé" in body.get_content()
    await notifier.hear(a_dossier())
    assert len(await notifier.rows()) == 1, "the edition of today is sent"


async def test_a_subscriber_who_was_enrolled_gets_one_letter_about_the_replay(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed("IEL-0048151", theme="enjeux-ia"), changed(theme="enjeux-ia"))
    await notifier.hear(a_replay(session_id=SESSION_ID))
    assert await news(notifier) == {"A-1": 1}
    replays = await notifier.rows(where="template = 'replay-available'")
    assert [row.recipient for row in replays] == ["IEL-0048151"]


async def test_an_agent_who_stops_gets_nothing_more_and_is_not_kept(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier())
    await notifier.hear(changed(subscribed=False, theme="enjeux-ia"))
    await notifier.hear(changed(subscribed=False))
    assert await notifier.states() == ["superseded"]
    async with notifier.database.quiet_transaction() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM subscriber"))).scalar() == 0


async def test_a_letter_announces_what_is_followed_when_it_leaves(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier(title="Un dossier"), a_replay(title="Un replay", themes=["autre"]))
    await notifier.hear(changed(subscribed=False, theme="enjeux-ia"))
    (body,) = await at_the_hour(notifier)
    assert "Un replay" in body
    assert "Un dossier" not in body


async def test_a_letter_of_which_nothing_is_followed_any_more_does_not_leave(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia", delegation="bretagne"))
    await notifier.hear(a_dossier())
    await notifier.hear(changed(subscribed=False, theme="enjeux-ia"))
    assert await at_the_hour(notifier) == []
    assert await notifier.states() == ["superseded"]


async def test_what_was_withdrawn_is_no_news_and_a_letter_of_nothing_else_does_not_leave(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", theme="enjeux-ia"), changed("A-2", theme="autre"))
    dossier, replay = (
        a_dossier(title="Un dossier"),
        a_replay(title="Un replay", themes=["enjeux-ia", "autre"]),
    )
    await notifier.hear(dossier, replay)
    assert await news(notifier) == {"A-1": 2, "A-2": 1}
    await notifier.hear(withdrawn(replay))
    (body,) = await at_the_hour(notifier)
    assert "Un dossier" in body
    assert "Un replay" not in body
    (row,) = await notifier.rows(where="recipient = 'A-2' AND template = 'news'")
    assert row.state == "superseded"


async def test_nobody_is_told_any_more_of_what_was_withdrawn_before_all_were(notifier: Notifier) -> None:
    await notifier.hear(changed(theme="enjeux-ia"))
    early, late = a_dossier(), a_dossier()
    await notifier.take(early)
    await notifier.take(withdrawn(early))
    await notifier.take(late, withdrawn(late))  # in one batch
    await notifier.fan_out()
    await notifier.hear(early.model_copy(update={"title": "Lue trop tard"}))  # as by a redrive
    assert await news(notifier) == {}


async def test_an_event_is_announced_as_it_is_when_the_letter_leaves(notifier: Notifier) -> None:
    await notifier.hear(changed(delegation="bretagne"))
    window = {"enrolment_closes_at": clock.now() + timedelta(days=2)}
    event = a_session(organiser="bretagne", format="local_event").model_dump() | window
    await notifier.hear(SessionScheduled.model_validate(event))
    moved = {"version": 2, "title": "IA à Brest", "venue": "Le Quartz, Brest"}
    await notifier.hear(SessionChanged.model_validate(event | moved))
    (body,) = await at_the_hour(notifier)
    assert "IA à Brest" in body
    assert "Le Quartz, Brest" in body


async def test_an_event_that_was_cancelled_is_no_news(notifier: Notifier) -> None:
    await notifier.hear(changed(delegation="bretagne"))
    window = {"enrolment_opens_at": clock.now(), "enrolment_closes_at": clock.now() + timedelta(days=3)}
    event = a_session(organiser="bretagne", format="local_event").model_dump() | window
    await notifier.hear(SessionScheduled.model_validate(event))
    assert await news(notifier) == {"A-1": 1}
    await notifier.hear(SessionCancelled.model_validate(event | {"version": 9, "status": "cancelled"}))
    assert await at_the_hour(notifier) == []


async def test_two_agents_of_one_address_are_two_subscribers(notifier: Notifier) -> None:
    mailbox = "accueil@mairie.example"
    for agent in ("A-1", "A-2"):
        await notifier.hear(changed(agent, email=mailbox, theme="enjeux-ia"))
    await notifier.hear(changed("A-1", subscribed=False, email=mailbox))
    await notifier.hear(a_dossier())
    assert await news(notifier) == {"A-2": 1}


async def test_two_issuers_same_identifier_are_two_subscribers(notifier: Notifier) -> None:
    mailbox = "accueil@mairie.example"
    for issuer in ("iel", "martinique", None):
        await notifier.hear(changed("1001", email=mailbox, theme="enjeux-ia"), issuer=issuer)
    await notifier.hear(a_dossier())
    rows = await notifier.rows(where="template = 'news'")
    assert sorted((row.issuer, row.recipient) for row in rows) == [
        ("", "1001"),
        ("iel", "1001"),
        ("martinique", "1001"),
    ]
    await notifier.hear(changed("1001", email=mailbox, subscribed=False), issuer="martinique")
    rows = await notifier.rows(where="template = 'news' AND state = 'pending'")
    assert sorted(row.issuer for row in rows) == ["", "iel"]


async def test_a_subscriber_hears_of_a_replay_whose_session_only_another_issuers_agent_attended(
    notifier: Notifier,
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed("IEL-0048151", theme="enjeux-ia"), issuer="martinique")
    await notifier.hear(a_replay(session_id=SESSION_ID))
    assert await news(notifier) == {"IEL-0048151": 1}


def opened(**changes: Any) -> SessionOpened:
    dates = {
        "session_id": uuid4(),
        "enrolment_opens_at": clock.now() - timedelta(hours=1),
        "enrolment_closes_at": clock.now() + timedelta(days=5),
    }
    return SessionOpened.model_validate(a_session(**dates | changes).model_dump())


async def test_who_follows_an_offer_is_told_once_of_all_its_sessions_that_open_in_one_letter(
    notifier: Notifier,
) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    await notifier.hear(changed("A-2", offer="ia-et-territoires", delegation="bretagne"))
    await notifier.hear(changed("A-3", offer="autre-offre"), changed("A-4", delegation="corse"))
    first, second = opened(), opened(organiser="martinique", title="IA à Fort-de-France")
    await notifier.hear(first, second)
    again = SessionChanged.model_validate(first.model_dump() | {"version": 9})
    await notifier.hear(again)
    await notifier.hear(SessionOpened.model_validate(first.model_dump() | {"version": 10}))
    assert await news(notifier) == {"A-1": 2, "A-2": 1}
    bodies = await at_the_hour(notifier)
    assert sorted(body.count("IA à Fort-de-France") > 0 for body in bodies) == [False, True]
    for mail in notifier.relay.taken:
        assert mail.message["List-Unsubscribe"]


async def test_who_has_a_seat_already_is_not_told_that_the_session_has_opened(notifier: Notifier) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    event = opened()
    agent = an_agent(agent_id="A-1")
    await notifier.hear(a_decision(AgentEnrolled, agent=agent, session_id=event.session_id))
    await notifier.hear(event)
    assert await news(notifier) == {}


async def test_an_opening_of_long_ago_that_is_heard_again_is_told_to_nobody(notifier: Notifier) -> None:
    await notifier.hear(changed("A-1", offer="ia-et-territoires"))
    await notifier.hear(opened(), at=clock.now() - timedelta(days=8))
    assert await news(notifier) == {}
