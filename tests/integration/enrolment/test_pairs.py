"""One person under two issuers in one session: the organiser is shown the pair, and keeps one (rule 22)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, problem
from tests.integration.enrolment.organising import lines
from tests.support.builders import an_agent

ORGANISER = "advisor-bretagne"
NAMES = {"given_name": "Zoé", "family_name": "Durand"}
OF_PORTAL = an_agent(issuer="iel", email="zoe@ville.fr", **NAMES)
BY_HAND = an_agent(issuer="cnfpt", email="Zoe@Ville.fr", given_name="Zoe", family_name="Durand-Martin")
NAMESAKE = an_agent(issuer="ouest", email="z.durand@autre.fr", given_name="ZOÉ", family_name="durand")
STRANGER = an_agent(issuer="sud", given_name="Yann")


async def ids_of(front: Front, session: SessionState, *agents: Agent) -> list[str]:
    return [str((await front.of(session, agent)).enrolment_id) for agent in agents]


async def pairs(ask: Ask, session: SessionState) -> dict[str, set[str]]:
    """Return the enrolments that may be of the same person, by enrolment."""
    answer = await ask("GET", f"/api/v1/sessions/{session.session_id}/roster", by=ORGANISER)
    entries = [entry for entry in answer.json()["items"] if entry["same_person"]]
    return {entry["enrolment_id"]: set(entry["same_person"]) for entry in entries}


async def join(ask: Ask, stays: str, ends: str, by: str = ORGANISER) -> Any:
    path = f"/api/v1/enrolments/{stays}/join"
    return await ask("POST", path, by=by, json={"enrolment_id": ends})


async def test_the_roster_and_its_sheet_show_the_same_address_or_names_of_another_issuer(
    front: Front, ask: Ask
) -> None:
    gone = an_agent(issuer="nord", email="zoe@ville.fr")
    session = await front.open(OF_PORTAL, BY_HAND, NAMESAKE, STRANGER, gone)
    await front.withdraw(session, gone)
    same_issuer = an_agent(issuer="iel", email="zoe@ville.fr", **NAMES)
    await front.open(same_issuer, an_agent(issuer="est", email="zoe@ville.fr"))

    portal, by_hand, namesake = await ids_of(front, session, OF_PORTAL, BY_HAND, NAMESAKE)
    assert await pairs(ask, session) == {
        portal: {by_hand, namesake},
        by_hand: {portal},
        namesake: {portal},
    }
    sheet = lines(await ask("GET", f"/api/v1/sessions/{session.session_id}/roster.csv", by=ORGANISER))
    column, reference = sheet[0].index("Aussi inscrite ou inscrit sous"), sheet[0].index("Référence")
    in_sheet = {line[reference]: line[column] for line in sheet[1:] if line[column]}
    assert in_sheet.keys() == {portal, by_hand, namesake}
    assert in_sheet[by_hand] == portal
    await front.enrol(session, same_issuer)
    assert (await ids_of(front, session, same_issuer))[0] not in (await pairs(ask, session))[portal]


async def test_on_the_day_a_pair_is_joined_too_until_attendance_is_recorded(front: Front, ask: Ask) -> None:
    session, now = await front.open(OF_PORTAL, BY_HAND, NAMESAKE), datetime.now(UTC)
    begun = {"version": 2, "starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=5)}
    await front.publish(session.model_copy(update=begun))
    stays, ends, seen = await ids_of(front, session, OF_PORTAL, BY_HAND, NAMESAKE)
    attendance = {"records": [{"agent_id": NAMESAKE.agent_id, "attendance": "attended"}]}
    path = f"/api/v1/sessions/{session.session_id}/attendance"
    assert (await ask("POST", path, by=ORGANISER, json=attendance)).status_code == 200

    assert (await join(ask, stays, ends)).status_code == 200
    problem(await join(ask, stays, seen), 409)
    assert await front.states(session, OF_PORTAL, BY_HAND, NAMESAKE) == ["enrolled", "withdrawn", "certified"]


REFUSED = [
    ("waits", "seated", ORGANISER, 409),  # the seat would be lost
    ("seated", "stranger", ORGANISER, 409),
    ("seated", "seated", ORGANISER, 409),
    ("waits", "gone", ORGANISER, 409),
    ("seated", "unknown", ORGANISER, 404),
    ("seated", "waits", "advisor-corse", 404),
]


async def test_what_would_lose_a_seat_or_is_no_pair_of_theirs_changes_nothing(front: Front, ask: Ask) -> None:
    gone = an_agent(issuer="nord", email="zoe@ville.fr")
    agents = {"seated": OF_PORTAL, "stranger": STRANGER, "gone": gone, "waits": BY_HAND}
    session = await front.open(gone, capacity=2)
    await front.withdraw(session, gone)
    await front.enrol(session, OF_PORTAL, STRANGER, BY_HAND)
    ids = dict(zip(agents, await ids_of(front, session, *agents.values()), strict=True))
    ids["unknown"] = str(uuid4())
    before = await front.states(session, *agents.values())

    answers = [
        (stays, ends, by, (await join(ask, ids[stays], ids[ends], by)).status_code)
        for stays, ends, by, _ in REFUSED
    ]

    assert answers == REFUSED
    assert await front.states(session, *agents.values()) == before
