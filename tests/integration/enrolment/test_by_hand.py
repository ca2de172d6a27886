"""Organisers enrol by hand, also on the day: by the rules, or above capacity with a reason (rule 22)."""

import asyncio
import re
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.enrolment.service import people
from services.enrolment.store import sessions
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.messaging.erasure import Eraser
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.manage import (
    PERSON,
    OrganiserClient,
    from_now,
    full,
    page_of,
    person_page,
    send,
    text_of,
)
from tests.integration.enrolment.organising import BRETAGNE, MODULES, lines, listed, of, published_events
from tests.support.builders import a_question, an_agent
from tests.support.locks import locks_awaited

ZOE = "zoe@ville-exemple.fr"
BODY = an_agent(email=ZOE).model_dump(mode="json", exclude={"agent_id", "issuer"})


async def enrol(ask: Ask, session: SessionState, **changes: Any) -> httpx.Response:
    return await ask("POST", of(session, "enrolments"), by=BRETAGNE, json=BODY | changes)


DAY = {
    "enrolment_closes_at": from_now(days=-5),
    "starts_at": from_now(hours=-1),
    "ends_at": from_now(hours=5),
}
"""The dates of a session that is closed and has begun."""


async def test_a_person_who_walks_in_on_the_day_gets_a_free_seat_and_the_author_is_kept(
    front: Front, ask: Ask, rows: SelectRows, erasing: Eraser
) -> None:
    session = await front.open(**DAY)
    entry = (await enrol(ask, session)).json()
    assert (entry["state"], entry["agent"]["issuer"]) == ("enrolled", "cnfpt")
    [published] = await published_events(rows, "AgentEnrolled")
    assert published["agent"]["email"] == ZOE
    [answered] = await rows("SELECT portal, facts ->> 'author' FROM request")
    assert tuple(answered) == (None, BRETAGNE)
    async with erasing.database.quiet_transaction() as tx:
        [proof] = (await erasing.export(tx, BRETAGNE))["request"]
    assert (set(proof), proof["actor"]) == ({"at", "actor"}, BRETAGNE), "nothing of the agent"


async def test_a_seat_above_capacity_has_a_reason_and_is_gone_when_it_is_left(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    seated, other = an_agent(), an_agent(employer=BODY["employer"] | {"siret": "21440109300015"})
    session = await front.open(seated, other, capacity=1, quota_per_authority=1)
    why, numbers = "Une chaise de plus", "SELECT enrolled, seat_ceiling FROM session"

    await enrol(ask, session, above_capacity=why)

    assert [tuple(row) for row in await rows(numbers)] == [(2, 2)]
    entries = await listed(ask, session)
    assert [entry["above_capacity"] for entry in entries] == [None, why, None]
    heading, *people = lines(await ask("GET", of(session, "roster.csv"), by=BRETAGNE))
    column = heading.index("Au-delà de la capacité")
    assert [person[column] for person in people] == ["", why, ""]
    await front.withdraw(session, seated)
    assert await front.states(session, other) == ["waitlisted"], "the seat above capacity is nobody's now"
    assert [tuple(row) for row in await rows(numbers)] == [(1, 1)]


async def test_a_person_is_one_agent_by_present_address_and_names_in_all_sessions(
    front: Front, ask: Ask
) -> None:
    first, second = await front.open(), await front.open()
    entry = (await enrol(ask, first)).json()
    correction = f"/api/v1/enrolments/{entry['enrolment_id']}/agent"
    await ask("PATCH", correction, by=BRETAGNE, json={"email": "zo@ville-exemple.fr"})
    shares, had, has = {"given_name": "Alice"}, {"email": ZOE}, {"email": "Zo@ville-exemple.fr"}
    entries = [(await enrol(ask, second, **has | changes)).json() for changes in (shares, had, has)]
    same = [each["agent"]["agent_id"] == entry["agent"]["agent_id"] for each in entries]
    assert same == [False, False, True], "who shares the mailbox, or has the address that was wrong"


async def test_organisers_who_enrol_a_new_person_at_once_make_one_agent(
    front: Front, ask: Ask, database: Database
) -> None:
    session = await front.open()
    async with database.transaction() as tx:
        await sessions.lock(tx, [session.session_id])
        both = asyncio.gather(enrol(ask, session), enrol(ask, session))
        await locks_awaited(database, 2)
    assert sorted(answer.status_code for answer in await both) == [201, 409]


async def test_a_refusal_leaves_nothing_and_writes_to_nobody(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = await front.open(capacity=0, waiting_list="none")
    before = await rows("SELECT 1 FROM outbox")
    problem(await enrol(ask, session), 409)
    kept = [await rows(f"SELECT 1 FROM {table}") for table in ("outbox", "enrolment", "request")]
    assert kept == [before, [], []]


@pytest.mark.parametrize(
    ("changes", "session", "state"),
    [
        ({}, {"capacity": 0}, "waitlisted"),
        ({}, {"approval": "employer"}, "pending_approval"),
        ({"approved": True}, {"approval": "employer"}, "enrolled"),
    ],
)
async def test_without_a_reason_the_rules_of_the_session_decide(
    front: Front, ask: Ask, changes: dict[str, Any], session: dict[str, Any], state: str
) -> None:
    there = await front.open(**session)
    assert (await enrol(ask, there, **changes)).json()["state"] == state


# ------------------------------------------------------------------------------------------- the page


async def test_the_form_leads_to_the_person_it_enrolled_and_is_shown_again_with_a_refusal(
    front: Front, organiser: OrganiserClient
) -> None:
    session, _ = await full(front)
    path = page_of(session, "/ajout")
    answers = [await send(organiser, path, **PERSON) for _ in range(2)]
    answers.append(
        await send(organiser, path, **PERSON | {"email": "lea@ville.fr"}, above_capacity="Invitée")
    )
    assert [answer.status_code for answer in answers] == [303, 422, 303]
    assert answers[0].headers["location"].endswith("?fait=ajoutee-attente")
    added = text_of(await organiser.get(answers[2].headers["location"]))
    assert f"{BRETAGNE} : Invitée" in added.replace("\u00a0", " "), "above capacity"


async def test_an_employer_of_another_session_and_a_commune_are_found_instead_of_typed(
    front: Front, organiser: OrganiserClient
) -> None:
    session, brest = await front.open(), "21290019500018"
    for siret, name, by in (
        (brest, "Ville de Brest", "bretagne"),
        ("26290001200002", "CCAS de Brest", "bretagne"),
        ("21760540100017", "Ville de Rouen", "normandie"),
    ):
        at_work = an_agent(employer={"siret": siret, "name": name, "delegation": by})
        await front.open(at_work, organiser=by)
    person = {name: PERSON[name] for name in ("given_name", "family_name", "function")}
    shown: dict[str, tuple[int, bool, list[str]]] = {}
    names = ("", "bre", "rouen", "quimper", "ville de brest", brest)
    typed = [*((each, "") for each in names), ("bre", brest)]
    for number, (employer, known) in enumerate(typed):
        answer = await send(
            organiser,
            page_of(session, "/ajout"),
            **person,
            email=f"p{number}@ville.fr",
            employer=employer,
            known=known,
        )
        if answer.status_code == 303:
            added = text_of(await organiser.get(answer.headers["location"]))
            assert f"Ville de Brest ({brest})" in added
        found = re.findall(r'<option value="\d{14}">(\w+)', answer.text)
        shown[f"{employer} {known}"] = answer.status_code, 'id="employer-erreur"' in answer.text, found
    assert shown == {
        " ": (422, True, []),
        "bre ": (422, True, ["CCAS", "Ville"]),
        "rouen ": (422, True, ["Ville"]),
        "quimper ": (422, True, ["Commune"]),
        "ville de brest ": (303, False, []),
        f"{brest} ": (303, False, []),
        f"bre {brest}": (303, False, []),
    }
    without_name = person | {"given_name": "", "email": "p@ville.fr", "employer": "bre", "known": brest}
    again = await send(organiser, page_of(session, "/ajout"), **without_name)
    assert f'<option value="{brest}" selected>' in again.text


async def test_a_person_who_is_enrolled_from_the_door_has_arrived_if_there_was_a_seat(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open(capacity=1, waiting_list="automatic", modules=MODULES)
    door = page_of(session, "/pointage?seance=2")
    (path,) = {*re.findall(r'href="([^"]+/ajout[^"]*)"', unescape((await organiser.get(door)).text))}
    assert f'action="{path}"' in (await send(organiser, path, **PERSON | {"siret": "1"})).text
    done = await send(organiser, path, **PERSON)
    late = await send(organiser, path, **PERSON | {"email": "lea@ville-exemple.fr", "given_name": "Léa"})
    [noted] = await rows("SELECT enrolment_id, module, author FROM arrival")
    assert (noted.module, noted.author) == (1, BRETAGNE)
    led_to = [f"{door}&fait=pointee-{noted.enrolment_id}#p-{noted.enrolment_id}", f"{door}&fait=sans-place"]
    assert [answer.headers["location"] for answer in (done, late)] == led_to


async def test_a_person_is_enrolled_again_as_the_same_agent_with_nothing_to_type(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await front.open(agent := an_agent(issuer="portail-bretagne"))
    path = await person_page(front, session, agent)

    async def forms() -> list[str]:
        return re.findall(r'href="([^"]+/ajout\?depuis=[^"]+)"', (await organiser.get(path)).text)

    assert await forms() == []
    await front.withdraw(session, agent)
    [form] = await forms()
    page = (await organiser.get(form)).text
    filled = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
    chosen = r'<select[^>]* name="(\w+)".*?<option value="([^"]*)" selected'
    filled |= dict(re.findall(chosen, page, re.DOTALL))
    filled |= {name: filled[name].upper() for name in ("given_name", "family_name")}
    await organiser.post(form, data={name: unescape(value) for name, value in filled.items()})
    assert await front.states(session, agent) == ["enrolled"]
    monkeypatch.setattr(people, "ELSEWHERE", 0)  # as where later sessions fill the list
    assert await forms() == []


async def test_another_person_gets_no_identifier_of_the_one_who_is_enrolled_again(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session, agents = await full(front)
    which, same_mailbox = (await front.of(session, agents[3])).enrolment_id, {"email": agents[3].email}
    await send(organiser, page_of(session, f"/ajout?depuis={which}"), **PERSON | same_mailbox)
    [row] = await rows("SELECT issuer FROM enrolment WHERE agent ->> 'family_name' = 'Riou'")
    assert row.issuer == "cnfpt"
    assert (await organiser.get(page_of(session, f"/ajout?depuis={uuid4()}"))).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "bespoke"},
        {"enrolment_opens_at": from_now(days=5)},
        {"starts_at": from_now(days=-2), "ends_at": from_now(days=-1)},
        {"status": "cancelled"},
    ],
)
async def test_where_nobody_can_be_added_no_page_offers_it_and_no_form_does_it(
    front: Front, organiser: OrganiserClient, changes: dict[str, Any]
) -> None:
    session, open_to_all = await front.open(**changes), await front.open()
    offered = [
        page_of(each, "/ajout") in (await organiser.get(page_of(each, page))).text
        for each in (session, open_to_all)
        for page in ("", "/groupes", "/pointage")
    ]
    assert offered == [False] * 3 + [True] * 3
    refused = await send(organiser, page_of(session), page_of(session, "/ajout"), **PERSON)
    assert (refused.status_code, 'name="email"' in refused.text) == (422, False)


INVALID = [
    ("email", "anne"),
    ("siret", "12345678901234"),
    ("function", "roi"),
    ("family_name", ""),
    ("family_name", "a" * 500),
    ("question-repas", "viande"),
    ("above_capacity", "une chaise\u202e de plus"),
]


async def test_what_is_wrong_stands_beside_its_field_and_nobody_is_enrolled(
    front: Front, organiser: OrganiserClient, rows: SelectRows
) -> None:
    session = await front.open(questions=[a_question("repas", "choice", required=True)])
    form, marked = PERSON | {"question-repas": "végétarien"}, []
    for field, typed in INVALID:
        refused = await send(organiser, page_of(session, "/ajout"), **form | {field: typed})
        assert refused.status_code == 422, typed
        marked += re.findall(r'id="([\w-]+)-erreur"', refused.text)
    assert marked == [field for field, _ in INVALID]
    assert await rows("SELECT 1 FROM enrolment") == []
