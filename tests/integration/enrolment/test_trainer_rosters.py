"""Trainers of a session read who has a seat, by the link of their letter, and that they did is kept."""

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


@pytest.fixture
async def session(front: Front) -> SessionState:
    return await front.open(capacity=3, trainer_ids=[LEO, ZOE])


def link(session: SessionState, trainer_id: UUID = ZOE) -> str:
    """The path of the link in the letter to a trainer."""
    url = links().to_trainer(trainer_id, session.session_id, session.ends_at)
    return url[url.index(Purpose.ROSTER.value) :]


async def test_a_trainer_reads_the_names_of_people_with_a_seat_and_nothing_else_of_them(
    front: Front, ask: Ask, session: SessionState
) -> None:
    seated = [an_agent(family_name=name, given_name="Ada") for name in ("Petit", "Élie", "durand")]
    await front.enrol(session, *seated, an_agent(family_name="Zacharie"))
    shown = page(await ask("GET", link(session)), 200, "Personnes inscrites")
    names = re.findall(r'<th role="rowheader"[^>]*>([^<]*)</th>', shown)
    assert names == ["durand Ada", "Élie Ada", "Petit Ada"]
    private = ("Zacharie", seated[0].email, seated[0].agent_id, seated[0].employer.siret)
    assert [each for each in private if each in shown] == []


async def test_each_look_of_a_trainer_is_kept_and_told_to_the_agent(
    *, front: Front, ask: Ask, rows: SelectRows, erasing: Eraser, session: SessionState
) -> None:
    await front.enrol(session, agent := an_agent())
    for _ in range(2):
        await ask("GET", link(session))
    lines = await rows("SELECT actor, role, kind, session_id, purpose FROM read_log")
    line = (f"formateur-{ZOE}", None, "roster", session.session_id, "animation de la session")
    assert [tuple(row) for row in lines] == [line] * 2
    async with erasing.database.quiet_transaction() as tx:
        reads = (await erasing.export(tx, agent.key))["read_log"]
    assert [(read["actor"], read["purpose"]) for read in reads] == [(line[0], line[-1])] * 2


async def test_the_link_opens_nothing_of_a_session_that_does_not_name_the_trainer_any_more(
    front: Front, ask: Ask, rows: SelectRows, session: SessionState
) -> None:
    other = await front.open(trainer_ids=[uuid4()])
    await front.change(session, trainer_ids=(LEO,))
    assert (await ask("GET", link(session, LEO))).status_code == 200
    for closed in (link(session), link(other, LEO), link(open_now(), LEO)):
        page(await ask("GET", closed), 410, "Ce lien ne s’ouvre plus")
    assert len(await rows("SELECT 1 FROM read_log")) == 1, "what was not shown was not read"


async def test_the_link_opens_until_two_weeks_after_the_end_wherever_that_moves(
    front: Front, ask: Ask, monkeypatch: pytest.MonkeyPatch, session: SessionState
) -> None:
    written, later = link(session), timedelta(days=90)
    await front.change(session, starts_at=session.starts_at + later, ends_at=session.ends_at + later)
    for days, status in ((103, 200), (105, 410)):
        monkeypatch.setattr(clock, "now", lambda days=days: session.ends_at + timedelta(days=days))
        assert (await ask("GET", written)).status_code == status


async def test_the_link_opens_nothing_of_a_cancelled_session(
    front: Front, ask: Ask, session: SessionState
) -> None:
    await front.change(session, status=Status.CANCELLED)
    page(await ask("GET", link(session)), 410, "Cette session est annulée")


async def test_a_link_for_something_else_or_of_another_key_is_no_trainers(
    ask: Ask, session: SessionState
) -> None:
    about = (ZOE, 0, session.session_id.int)
    other = path(Purpose.ENROLMENTS, *about).removeprefix(Purpose.ENROLMENTS.value)
    forged = path(Purpose.ROSTER, *about, key="another key of thirty-two characters")
    for wrong in (forged, Purpose.ROSTER.value + other):
        assert (await ask("GET", wrong)).status_code == 404
