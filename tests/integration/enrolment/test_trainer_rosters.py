"""Who teaches in a session reads who has a seat, by the link of their letter, and that they did is kept."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import clock
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from shared.messaging.erasure import Eraser
from shared.web.links import Purpose
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows
from tests.integration.enrolment.visiting import KEY, links, page, path
from tests.support.builders import an_agent, open_now

ZOE, LEO = uuid4(), uuid4()


@pytest.fixture
def ask(asking: Any) -> Ask:
    it: Ask = asking(link_signing_key=KEY)
    return it


def link(session: SessionState, trainer_id: UUID = ZOE) -> str:
    """The path of the link in the letter to a trainer."""
    url = links().to_trainer(trainer_id, session.session_id, session.ends_at)
    return url[url.index(Purpose.ROSTER.value) :]


async def test_a_trainer_reads_who_has_a_seat_by_name_and_nothing_else_of_them(
    front: Front, ask: Ask
) -> None:
    session = open_now(capacity=3, waiting_list="automatic", trainer_ids=[LEO, ZOE])
    await front.publish(session)
    seated = [an_agent(family_name=name, given_name="Ada") for name in ("Petit", "Élie", "durand")]
    waiting = an_agent(family_name="Zacharie")
    await front.enrol(session, *seated, waiting)

    text = page(await ask("GET", link(session)), 200, "Personnes inscrites")

    assert re.findall(r'<th role="rowheader"[^>]*>([^<]*)</th>', text) == [
        "durand Ada",
        "Élie Ada",
        "Petit Ada",
    ]
    assert "3 personnes ont une place" in text
    assert seated[0].employer.name in text
    for private in ("Zacharie", seated[0].email, seated[0].agent_id, seated[0].employer.siret):
        assert private not in text


async def test_each_look_of_a_trainer_is_kept_and_an_agent_is_told_of_it(
    front: Front, ask: Ask, rows: SelectRows, erasing: Eraser
) -> None:
    session, agent = open_now(trainer_ids=[ZOE]), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    for _ in range(2):
        await ask("GET", link(session))
    lines = await rows("SELECT actor, role, kind, session_id, purpose FROM read_log")
    line = (f"formateur-{ZOE}", None, "roster", session.session_id, "animation de la session")
    assert [tuple(row) for row in lines] == [line] * 2
    async with erasing.database.quiet_transaction() as tx:
        reads = (await erasing.export(tx, agent.key))["read_log"]
    assert [(read["actor"], read["purpose"]) for read in reads] == [(line[0], line[-1])] * 2


async def test_the_link_opens_nothing_once_the_session_names_the_trainer_no_more(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    session = open_now(trainer_ids=[ZOE])
    await front.publish(session)
    assert (await ask("GET", link(session))).status_code == 200
    await front.publish(session.model_copy(update={"version": session.version + 1, "trainer_ids": (LEO,)}))
    page(await ask("GET", link(session)), 410, "Ce lien ne s’ouvre plus")
    assert (await ask("GET", link(session, LEO))).status_code == 200
    other = open_now(trainer_ids=[uuid4()])
    await front.publish(other)
    for unknown in (link(other, LEO), link(open_now(), LEO)):
        page(await ask("GET", unknown), 410, "Ce lien ne s’ouvre plus")
    assert len(await rows("SELECT 1 FROM read_log")) == 2, "what was not shown was not read"


async def test_the_link_opens_until_two_weeks_after_the_end_wherever_that_moves(
    front: Front, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_now(trainer_ids=[ZOE])
    await front.publish(session)
    written = link(session)
    later = {
        "starts_at": session.starts_at + timedelta(days=90),
        "ends_at": session.ends_at + timedelta(days=90),
    }
    await front.publish(session.model_copy(update={"version": session.version + 1, **later}))
    for days, status in ((103, 200), (105, 410)):
        moment = session.ends_at + timedelta(days=days)
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        assert (await ask("GET", written)).status_code == status


async def test_there_is_no_roster_of_a_cancelled_session(front: Front, ask: Ask) -> None:
    session = open_now(trainer_ids=[ZOE])
    await front.publish(session)
    cancelled = {"version": session.version + 1, "status": Status.CANCELLED}
    await front.publish(session.model_copy(update=cancelled))
    page(await ask("GET", link(session)), 410, "Cette session est annulée")


async def test_a_link_for_something_else_is_no_trainers(front: Front, ask: Ask) -> None:
    session = open_now(trainer_ids=[ZOE])
    await front.publish(session)
    for wrong in (
        path(Purpose.ROSTER, ZOE, 0, session.session_id.int, key="another key of thirty-two characters"),
        Purpose.ROSTER.value
        + path(Purpose.ENROLMENTS, ZOE, 0, session.session_id.int).removeprefix(Purpose.ENROLMENTS.value),
    ):
        assert (await ask("GET", wrong)).status_code == 404
