"""One person under two issuers in one session: the organiser is shown the pair, and keeps one (rule 22)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, problem
from tests.integration.enrolment.organising import lines
from tests.support.builders import an_agent, open_now

ORGANISER = "advisor-bretagne"
NAMES = {"given_name": "Zoé", "family_name": "Durand"}
OF_PORTAL = an_agent(issuer="iel", email="zoe@ville.fr", **NAMES)
BY_HAND = an_agent(issuer="cnfpt", email="Zoe@Ville.fr", given_name="Zoe", family_name="Durand-Martin")
NAMESAKE = an_agent(issuer="ouest", email="z.durand@autre.fr", given_name="ZOÉ", family_name="durand")


async def id_of(front: Front, session: SessionState, agent: Agent) -> str:
    return str((await front.of(session, agent)).enrolment_id)


async def pairs(ask: Ask, session: SessionState) -> dict[str, set[str]]:
    """Who may be the same person as whom, by enrolment."""
    answer = await ask("GET", f"/api/v1/sessions/{session.session_id}/roster", by=ORGANISER)
    return {
        entry["enrolment_id"]: set(entry["same_person"])
        for entry in answer.json()["items"]
        if entry["same_person"]
    }


async def test_the_sheet_of_a_roster_names_the_pair_too(front: Front, ask: Ask) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, OF_PORTAL, BY_HAND, an_agent(given_name="Ali"))
    ids = [await id_of(front, session, agent) for agent in (OF_PORTAL, BY_HAND)]
    sheet = lines(await ask("GET", f"/api/v1/sessions/{session.session_id}/roster.csv", by=ORGANISER))
    column, reference = sheet[0].index("Aussi inscrite ou inscrit sous"), sheet[0].index("Référence")
    assert {line[reference]: line[column] for line in sheet[1:] if line[column]} == {
        ids[0]: ids[1],
        ids[1]: ids[0],
    }


async def join(ask: Ask, stays: str, ends: str, by: str = ORGANISER) -> Any:
    path = f"/api/v1/enrolments/{stays}/join"
    return await ask("POST", path, by=by, json={"enrolment_id": ends})


async def test_the_roster_shows_who_has_the_same_address_or_names_by_another_issuer(
    front: Front, ask: Ask
) -> None:
    session, elsewhere = open_now(), open_now()
    same_issuer = an_agent(issuer="iel", email="zoe@ville.fr", **NAMES)
    gone = an_agent(issuer="nord", email="zoe@ville.fr")
    await front.publish(session, elsewhere)
    await front.enrol(session, OF_PORTAL, BY_HAND, NAMESAKE, an_agent(issuer="sud", given_name="Yann"), gone)
    await front.withdraw(session, gone)
    await front.enrol(elsewhere, same_issuer, an_agent(issuer="est", email="zoe@ville.fr"))

    portal, by_hand, namesake = [
        await id_of(front, session, agent) for agent in (OF_PORTAL, BY_HAND, NAMESAKE)
    ]

    assert await pairs(ask, session) == {
        portal: {by_hand, namesake},
        by_hand: {portal},
        namesake: {portal},
    }
    await front.enrol(session, same_issuer)
    assert await id_of(front, session, same_issuer) not in (await pairs(ask, session))[portal]


async def test_on_the_day_a_pair_is_joined_too_until_attendance_is_recorded(front: Front, ask: Ask) -> None:
    now = datetime.now(UTC)
    session = open_now()
    begun = {"version": 2, "starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=5)}
    await front.publish(session)
    await front.enrol(session, OF_PORTAL, BY_HAND, NAMESAKE)
    await front.publish(session.model_copy(update=begun))
    stays, ends, seen = [await id_of(front, session, agent) for agent in (OF_PORTAL, BY_HAND, NAMESAKE)]
    records = [{"agent_id": NAMESAKE.agent_id, "attendance": "attended"}]
    recorded = await ask(
        "POST", f"/api/v1/sessions/{session.session_id}/attendance", by=ORGANISER, json={"records": records}
    )
    assert recorded.status_code == 200, recorded.text

    assert (await join(ask, stays, ends)).status_code == 200
    problem(await join(ask, stays, seen), 409)
    assert await front.states(session, OF_PORTAL, BY_HAND, NAMESAKE) == ["enrolled", "withdrawn", "certified"]


@pytest.mark.parametrize(
    "case", ["one who waits stays", "no pair", "itself", "ended", "unknown", "another's"]
)
async def test_what_would_lose_a_seat_or_is_no_pair_of_theirs_changes_nothing(
    front: Front, ask: Ask, case: str
) -> None:
    session, stranger = (
        open_now(capacity=2, waiting_list="automatic"),
        an_agent(issuer="sud", given_name="Yann"),
    )
    await front.publish(session)
    await front.enrol(session, OF_PORTAL, stranger, BY_HAND)
    seat, other, waits = [await id_of(front, session, agent) for agent in (OF_PORTAL, stranger, BY_HAND)]
    if case == "ended":
        await front.withdraw(session, OF_PORTAL)
    stays, ends = {
        "one who waits stays": (waits, seat),
        "no pair": (seat, other),
        "itself": (seat, seat),
        "ended": (waits, seat),
        "unknown": (seat, str(uuid4())),
        "another's": (seat, waits),
    }[case]
    before = await front.states(session, OF_PORTAL, stranger, BY_HAND)

    answer = await join(ask, stays, ends, by="advisor-corse" if case == "another's" else ORGANISER)

    problem(answer, 404 if case in ("unknown", "another's") else 409)
    assert await front.states(session, OF_PORTAL, stranger, BY_HAND) == before
