"""An organiser writes to the people in a session: a part of them, now or at a time, once a day."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import text

from services.enrolment.service import messages
from services.enrolment.store import sessions
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.manage import OrganiserClient, from_now, hidden, page_of, send
from tests.integration.enrolment.organising import BRETAGNE, CORSE, of, published_events
from tests.support.builders import an_agent
from tests.support.locks import locks_awaited

TEXT = "Bonjour,\n\nVenez avec un ordinateur portable."
KEPT = "SELECT count(*) FROM message"


@pytest.fixture
async def session(front: Front) -> SessionState:
    """Two agents with a seat, A and B, and C who waits."""
    return await full(front)


async def full(front: Front) -> SessionState:
    return await front.open(*(an_agent(name, family_name=name) for name in ("A", "B", "C")), capacity=2)


async def write(ask: Ask, session: SessionState, query: str = "", **changes: Any) -> httpx.Response:
    return await ask("POST", of(session, f"messages{query}"), by=BRETAGNE, json={"text": TEXT} | changes)


async def send_due(database: Database, at: datetime) -> int:
    async with database.transaction() as tx:
        return await messages.send_due(tx, at)


async def test_a_message_leaves_once_after_a_minute_and_its_event_names_nobody(
    ask: Ask, rows: SelectRows, database: Database, session: SessionState
) -> None:
    planned = (await write(ask, session, audience=["enrolled"])).json()
    assert planned["recipients"] == 2
    sent = [await send_due(database, from_now(minutes=minutes)) for minutes in (0, 2, 2)]
    assert sent == [0, 1, 0]
    assert await published_events(rows, "ParticipantsMessaged") == [
        {
            "message_id": planned["message_id"],
            "session_id": str(session.session_id),
            "session_version": session.version,
            "text": TEXT,
            "link": None,
            "audience": ["enrolled"],
            "enrolment_ids": None,
        }
    ]


async def test_a_dry_run_counts_who_can_be_reached_and_keeps_nothing(
    ask: Ask, rows: SelectRows, database: Database, session: SessionState
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO bad_address VALUES ('', 'A', now())"))
    tried = await write(ask, session, "?dry_run=true")
    counted = [tried.json()[name] for name in ("recipients", "unreachable", "message_id")]
    assert (tried.status_code, counted) == (200, [2, 1, None])
    assert await rows(KEPT) == [(0,)]


async def test_a_person_under_two_issuers_is_one_recipient_and_a_shared_mailbox_is_several(
    front: Front, ask: Ask
) -> None:
    zoe = {"email": "Zoe@ville.fr", "given_name": "Zoé"}
    session = await front.open(
        an_agent("1", issuer="iel", **zoe),
        an_agent("2", issuer="sirh", **zoe | {"email": "zoe@ville.fr"}),
        an_agent("3", issuer="iel", email="zoe@ville.fr", given_name="Bernard"),
    )
    assert (await write(ask, session)).json()["recipients"] == 2


async def test_one_message_a_day_of_the_sessions_zone(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, session: SessionState
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)  # or midnight may come between two messages
    tomorrow = {"send_at": (now + timedelta(hours=36)).isoformat()}  # a day may have 25
    assert (await write(ask, session)).status_code == 201
    problem(await write(ask, session, text="Apportez aussi le chargeur."), 409)
    assert (await write(ask, session, **tomorrow)).status_code == 201
    problem(await write(ask, session, "?dry_run=true", **tomorrow), 409)


async def test_a_second_click_with_an_earlier_time_finds_the_message_of_the_first(
    ask: Ask, session: SessionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    first = await write(ask, session)
    monkeypatch.setattr(clock, "now", lambda: now - timedelta(milliseconds=5))
    second = await write(ask, session)
    assert (second.status_code, second.json()) == (201, first.json())


async def test_a_message_that_is_sent_twice_within_a_minute_is_kept_once(
    *,
    asking: Callable[..., Ask],
    rows: SelectRows,
    database: Database,
    session: SessionState,
) -> None:
    """As by two clicks, or where no answer came; all others are messages of their own."""
    ask = asking(enrolment_messages_a_day=24)
    async with database.transaction() as tx:
        await sessions.lock(tx, [session.session_id])
        clicks = []
        for number in (1, 2):
            clicks.append(asyncio.create_task(write(ask, session)))
            await locks_awaited(database, number)
    first, second = await asyncio.gather(*clicks)
    assert (first.status_code, first.json()) == (201, second.json())
    ids = [str(row.enrolment_id) for row in await rows("SELECT enrolment_id FROM enrolment")]
    others: list[dict[str, Any]] = [
        {"text": "Autre chose."},
        {"link": "https://parcours.example/plan"},
        {"audience": ["enrolled"]},
        {"enrolment_ids": ids},
        {"send_at": from_now(days=1).isoformat()},
    ]
    for changes in others * 2:
        assert (await write(ask, session, **changes)).status_code == 201
    assert await rows(KEPT) == [(6,)]
    assert await send_due(database, from_now(minutes=2)) == 5
    await write(ask, session)  # the first has left
    assert await rows(KEPT) == [(7,)]


async def test_a_message_can_be_taken_back_by_its_delegation_until_it_leaves(
    ask: Ask, database: Database, session: SessionState
) -> None:
    first = f"/api/v1/messages/{(await write(ask, session)).json()['message_id']}"
    problem(await ask("DELETE", first, by=CORSE), 404)
    assert (await ask("DELETE", first, by=BRETAGNE)).status_code == 204
    second = f"/api/v1/messages/{(await write(ask, session)).json()['message_id']}"
    assert await send_due(database, from_now(minutes=2)) == 1
    problem(await ask("DELETE", second, by=BRETAGNE), 409)
    [listed] = (await ask("GET", of(session, "messages"), by=BRETAGNE)).json()["items"]
    assert (listed["author"], listed["text"], listed["sent_at"] is None) == (BRETAGNE, TEXT, False)


async def test_named_enrolments_are_of_the_session(front: Front, ask: Ask, session: SessionState) -> None:
    other = await full(front)
    there, here = [str((await front.of(each, an_agent("A"))).enrolment_id) for each in (other, session)]
    problem(await write(ask, session, enrolment_ids=[here, there]), 422)
    assert (await write(ask, session, enrolment_ids=[here, here])).json()["recipients"] == 1


async def test_of_a_cancelled_session_no_message_is_taken_and_none_that_was_taken_leaves(
    front: Front, ask: Ask, database: Database, session: SessionState
) -> None:
    for each in (session, await full(front)):
        assert (await write(ask, each)).status_code == 201
    await front.change(session, status=Status.CANCELLED)
    problem(await write(ask, session, text="Autre chose."), 409)
    assert [await send_due(database, from_now(minutes=2)) for _ in range(2)] == [1, 0]


WRONG: list[dict[str, Any]] = [
    {"text": " \n "},
    {"text": "a" * 2001},
    {"text": "Voyez www.exemple.fr"},
    {"text": "Écrivez à zoe@exemple.fr"},
    {"text": "https://exemple.fr"},
    {"text": "Bonjour \u202eelgoog"},
    {"text": "Bonjour\u200b"},
    {"link": "javascript:alert(1)"},
    {"link": "https://exemple.fr/ et plus"},
    {"audience": []},
    {"audience": ["withdrawn"]},
    {"enrolment_ids": []},
    {"enrolment_ids": ["6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"] * 501},
    {"send_at": "2020-01-01T00:00:00Z"},
    {"send_at": "2090-01-01T00:00:00Z"},
    {"subject": "Urgent"},
]


async def test_what_no_letter_may_say_is_refused(ask: Ask, rows: SelectRows, session: SessionState) -> None:
    answers = [(wrong, (await write(ask, session, **wrong)).status_code) for wrong in WRONG]
    assert [wrong for wrong, status in answers if status != 422] == []
    assert await rows(KEPT) == [(0,)]


# ------------------------------------------------------------------------------------------- the page

MESSAGE = {"texte": "Rendez-vous au 2e étage.\n\nÀ bientôt.", "audience": "enrolled"}


@pytest.mark.parametrize("is_planned", [False, True])
async def test_a_message_is_tried_kept_and_taken_back_into_the_form(
    organiser: OrganiserClient, rows: SelectRows, session: SessionState, is_planned: bool
) -> None:
    tomorrow = from_now(days=1).astimezone(ZoneInfo(session.timezone))
    path, planned = page_of(session, "/messages"), f"{tomorrow:%Y-%m-%d}T18:05" if is_planned else ""
    fields, kept = MESSAGE | {"lien": "https://exemple.fr/plan", "envoi": planned}, []
    for sends in ({}, {"envoyer": "oui"}):
        await send(organiser, path, **fields, **sends)
        kept.append([tuple(row) for row in await rows("SELECT text, author, audience FROM message")])
    assert kept == [[], [(MESSAGE["texte"], BRETAGNE, ["enrolled"])]]
    answer = await organiser.post(f"{path}/retrait", data=await of_message(organiser, session))
    assert f">\n{MESSAGE['texte']}</textarea>" in answer.text
    typed = re.findall(r'type="(?:url|datetime-local)" value="([^"]*)"', answer.text)
    assert typed == [fields["lien"], planned]
    assert re.findall(r'value="(\w+)" checked', answer.text) == ["enrolled"]
    assert await rows("SELECT 1 FROM message") == []


async def of_message(organiser: OrganiserClient, session: SessionState) -> dict[str, str]:
    """The form to take back the one message that has not left."""
    page = (await organiser.get(page_of(session, "/messages"))).text
    return {name: hidden(page, name) for name in ("cle", "message")}


async def test_a_message_that_has_left_or_never_will_is_not_taken_back_on_the_page(
    front: Front, organiser: OrganiserClient, database: Database, session: SessionState
) -> None:
    path = page_of(session, "/messages")
    await send(organiser, path, **MESSAGE, envoyer="oui")
    form = await of_message(organiser, session)
    await send_due(database, from_now(hours=1))
    assert (await organiser.post(f"{path}/retrait", data=form)).status_code == 409
    await send(organiser, path, **MESSAGE, envoi=f"{from_now(days=2):%Y-%m-%dT%H:%M}", envoyer="oui")
    assert await of_message(organiser, session) != form
    await front.change(session, status=Status.CANCELLED)
    assert 'name="message"' not in (await organiser.get(path)).text


INVALID = [
    ("texte", " "),
    ("texte", "Voyez https://exemple.fr"),
    ("lien", "javascript:alert(1)"),
    ("audience", "nobody"),
    ("envoi", "demain"),
    ("envoi", "2020-01-01T10:00"),
]


async def test_what_is_wrong_stands_beside_its_field(
    organiser: OrganiserClient, rows: SelectRows, session: SessionState
) -> None:
    marked = []
    for field, typed in INVALID:
        form = MESSAGE | {field: typed, "envoyer": "oui"}
        answer = await send(organiser, page_of(session, "/messages"), **form)
        assert answer.status_code == 422, typed
        marked += re.findall(r'id="(\w+)-erreur"', answer.text)
    assert marked == [field for field, _ in INVALID]
    assert await rows(KEPT) == [(0,)]
