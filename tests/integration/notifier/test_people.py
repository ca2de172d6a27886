"""Support finds a person, and sees what happened to them over all services in one story."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from services.notifier.app import eraser
from services.notifier.service import mails, people, timeline
from shared import clock, read_log
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, AttendanceRecorded, EnrolmentWithdrawn
from shared.events.portal import SubscriptionChanged
from shared.messaging.portals.registry import PortalsFile
from shared.permissions import Role
from shared.personal_data import Subject
from shared.read_log import Reading, ReadKind
from shared.references import reference_of
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import ADDRESS, ZOE, corrected, scheduled
from tests.integration.notifier.test_mail_log import LOG, PURPOSE, browser, log_in, tokens
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, an_agent

__all__ = ["browser", "tokens"]
PEOPLE = f"{LOG}/personnes"
READING = Reading("jeanne du support", Role.SUPPORT, PURPOSE)


async def hear_story(notifier: Notifier) -> None:
    """An agent who waited, was seated, came and had it noted; and a correction on the way."""
    await notifier.hear(scheduled())
    await notifier.hear(a_decision(AgentWaitlisted, position=3))
    await notifier.hear(a_decision(AgentEnrolled, version=2, from_waiting_list=True))
    await notifier.hear(corrected("zoe@ville.example", corrected_by="support"))
    await notifier.hear(a_decision(AttendanceRecorded, version=3, attendance="attended", certified=True))
    address = "zoe@ville.example"
    follows = SubscriptionChanged(agent_id=ZOE.agent_id, email=address, theme="enjeux-ia", subscribed=True)
    await notifier.hear(follows)


@pytest.fixture
async def population(notifier: Notifier) -> Notifier:
    """Some names that are alike."""
    names = ["Zoé Durand", "Anne-Sophie Le Goff", "Jean-François Lefèvre", "Lætitia L’Hœrité"]
    for number, name in enumerate([*names, "Lætitia L'Hoerité"]):
        given_name, _, family_name = name.partition(" ")
        agent = an_agent(agent_id=f"A-{number}", given_name=given_name, family_name=family_name)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    return notifier


async def found(notifier: Notifier, typed: str) -> tuple[list[str], bool]:
    """The identifiers that a search finds, and whether the names are only like the one that was typed."""
    async with notifier.database.transaction() as tx:
        persons, is_near = await people.find(tx, typed, READING)
    return sorted(person.agent.agent_id for person in persons), is_near


@pytest.mark.parametrize(
    "typed",
    [
        "IEL-0048151",
        "Zoe@Ville.example",
        ADDRESS,
        "durand",
        "DURAND Zoe",
        "zoé dur",
        reference_of(ENROLMENT_ID),
    ],
    ids=["identifier", "address", "former address", "name", "both names", "beginnings", "reference"],
)
async def test_a_person_is_found(notifier: Notifier, typed: str) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(corrected("zoe@ville.example"))
    assert await found(notifier, typed) == (["IEL-0048151"], False)


@pytest.mark.parametrize(
    ("typed", "expected", "is_near"),
    [
        ("le goff", ["A-1"], False),
        ("Le-Goff anne", ["A-1"], False),
        ("goff", [], False),
        ("dur", ["A-0"], False),
        ("l'hœr", ["A-3", "A-4"], False),
        ("L’Hœrité", ["A-3", "A-4"], False),
        ("l hoer", ["A-3", "A-4"], False),
        ("L'HOERITE Lætitia", ["A-3", "A-4"], False),
        ("l'hœrité laet", ["A-3", "A-4"], False),
        ("zoe durant", ["A-0"], True),
        ("Durent", ["A-0"], True),
        ("legoff", ["A-1"], True),
        ("anne sofie le gauff", ["A-1"], True),
        ("Jean-François Lefebvre", ["A-2"], True),
        ("le fèvre", ["A-2"], True),
        ("yann lefebvre", [], False),
        ("durazzo", [], False),
    ],
)
async def test_a_name_is_found_as_it_is_typed_and_a_misheard_one_leads_to_similar_ones(
    population: Notifier, typed: str, expected: Sequence[str], *, is_near: bool
) -> None:
    assert await found(population, typed) == (expected, is_near)
    read = await population.query("SELECT agent_id FROM read_log WHERE agent_id IS NOT NULL ORDER BY 1")
    assert read == [(agent_id,) for agent_id in expected]


async def test_a_story_is_in_order_with_letters_and_what_support_did(notifier: Notifier) -> None:
    await hear_story(notifier)
    await notifier.deliver()
    (mail,) = await notifier.rows(where="template = 'certificate'")
    async with notifier.database.transaction() as tx:
        await read_log.record(tx, READING, ReadKind.CORRECTION, agents=[ZOE], about=[uuid4()])
        await mails.resend(tx, mail.mail_id, actor="jeanne")
        story = await timeline.story(tx, ZOE, READING)
    assert [line.happened.kind for line in story.lines if line.happened] == [
        "subscribed",
        "attended",
        "corrected",
        "enrolled",
        "waitlisted",
    ]
    assert [line.at for line in story.lines] == sorted((line.at for line in story.lines), reverse=True)
    asked = [line.correction.actor for line in story.lines if line.correction]
    decided = [line.decision.actor for line in story.lines if line.decision]
    copies = [line.mail.template for line in story.lines if line.mail].count("certificate")
    assert (asked, decided, copies) == ([READING.actor], ["jeanne"], 2)


async def test_what_follows_a_correction_within_a_month_is_not_told_as_the_persons_own_word(
    notifier: Notifier,
) -> None:
    now = clock.now()
    await notifier.hear(scheduled())
    await notifier.hear(a_decision(AgentEnrolled), at=now - timedelta(days=50))
    await notifier.hear(corrected("zoe@ville.example"), at=now - timedelta(days=40))
    for version, days in ((2, 41), (3, 39), (4, 9)):
        left = a_decision(EnrolmentWithdrawn, version=version, session_id=uuid4())
        await notifier.hear(left, at=now - timedelta(days=days))
    async with notifier.database.transaction() as tx:
        story = await timeline.story(tx, ZOE, READING)
    after = [
        line.after_correction for line in story.lines if line.happened and line.happened.reason == "agent"
    ]
    assert after == [False, True, False], "the newest first"


async def test_each_look_at_a_person_is_a_line_and_says_why(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    form = {"cle": await log_in(browser), "motif": PURPOSE}
    for typed in ("durand", "nobody@ville.example"):
        assert (await browser.post(PEOPLE, data=form | {"cherche": typed})).status_code == 200
    lines = await notifier.query(
        "SELECT actor, agent_id, purpose, may_name_others FROM read_log WHERE kind = 'person' ORDER BY id"
    )
    assert lines == [
        ("support-name", "IEL-0048151", PURPOSE, True),
        ("support-name", "IEL-0048151", PURPOSE, False),
        ("support-name", None, None, False),
    ]
    for unsaid, status in (
        ({"motif": ""}, 422),
        ({"motif": "x"}, 422),
        ({"cherche": "d"}, 422),
        ({"cle": ""}, 403),
    ):
        refused = await browser.post(PEOPLE, data=form | {"cherche": "durand"} | unsaid)
        assert (refused.status_code, "<h1>Zoé" in refused.text) == (status, False)


async def test_an_event_that_comes_twice_is_one_line_of_the_story(notifier: Notifier) -> None:
    [event_id] = await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(a_decision(AgentEnrolled), ids=[event_id])
    assert len(await notifier.query("SELECT id FROM timeline")) == 1


async def test_the_story_ends_with_the_agent(notifier: Notifier, portals: PortalsFile) -> None:
    await hear_story(notifier)
    other = an_agent(agent_id="1002", issuer="ouest")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=other))
    until = clock.now()
    await notifier.hear(a_decision(AttendanceRecorded, version=4, attendance="absent"))
    erasing = eraser(notifier.database, portals, b"")
    async with notifier.database.transaction() as tx:
        assert len((await erasing.export(tx, ZOE))["timeline"]) == 6
        await erasing._erase(tx, Subject(agent=ZOE, until=until))
    left = await notifier.query("SELECT agent_id FROM timeline")
    assert left == [("1002",)], "also what was heard of an enrolment that ended"
