"""Letters and calendars name who speaks or teaches in a session, as its newest state has it."""

from typing import Any
from uuid import UUID, uuid4

from services.notifier.personal_data import TRAINERS
from shared import clock
from shared.events.catalogue import SessionChanged, SessionScheduled, SessionTrainersChanged
from shared.events.enrolment import AgentEnrolled
from shared.personal_data import end_rows
from tests.integration.notifier.conftest import Notifier
from tests.support.builders import an_agent
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session
from tests.unit.notifier.reading import body

ZOE, LEO = uuid4(), uuid4()
NAMES = {ZOE: "Zoé Durand", LEO: "Léo Petit"}


def in_session(*trainers: UUID, version: int = 1) -> dict[str, Any]:
    return a_session(version=version, trainer_ids=trainers).model_dump()


def named(*trainers: UUID, version: int = 1, **names: str) -> SessionTrainersChanged:
    people = [
        {"trainer_id": trainer, "name": names.get("name", NAMES[trainer]), "email": f"{trainer}@exemple.fr"}
        for trainer in trainers
    ]
    return SessionTrainersChanged.model_validate(
        {"session_id": SESSION_ID, "session_version": version, "trainers": people}
    )


async def a_letter(notifier: Notifier) -> tuple[str, str]:
    """What somebody who enrols now reads of it: the text, and the calendar with its lines unfolded."""
    number = len(notifier.relay.taken)
    agent = an_agent(f"A-{number}", email=f"a{number}@ville.example", issuer="iel")
    await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    await notifier.deliver()
    mail = notifier.relay.taken[-1].message
    calendar = body(mail, "text/calendar")
    return body(mail, "text/plain"), calendar.replace("\r\n ", "").replace("\n ", "")


async def test_a_letter_and_its_calendar_name_who_speaks_and_say_no_address(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(in_session(LEO, ZOE)))
    await notifier.hear(named(ZOE, LEO))
    for part in await a_letter(notifier):
        assert "Intervention\u00a0: Léo Petit et Zoé Durand" in part
        assert "@exemple.fr" not in part


async def test_who_is_a_trainer_no_more_is_not_named_whichever_topic_is_read_first(
    notifier: Notifier,
) -> None:
    await notifier.hear(SessionScheduled.model_validate(in_session(ZOE, LEO)))
    await notifier.hear(named(ZOE, LEO))
    await notifier.hear(SessionChanged.model_validate(in_session(LEO, version=2)))
    text, _ = await a_letter(notifier)
    assert "Intervention\u00a0: Léo Petit\n" in text
    await notifier.hear(named(LEO, version=2))
    await notifier.hear(named(LEO, name="Léon Petit", version=3))
    await notifier.hear(named(LEO, version=2))
    assert await notifier.query("SELECT name FROM trainer") == [("Léon Petit",)]


async def test_a_letter_about_a_session_whose_trainers_are_not_known_names_nobody(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(in_session(ZOE)))
    for part in await a_letter(notifier):
        assert "Intervention" not in part


async def test_trainers_are_kept_ninety_days_after_the_end(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(in_session(ZOE)))
    await notifier.hear(named(ZOE))
    async with notifier.database.transaction() as tx:
        ends = a_session().ends_at
        days = (clock.now() - ends).days
        assert await end_rows(tx, TRAINERS, days + 1, clock.now()) == 0
        assert await end_rows(tx, TRAINERS, days - 1, clock.now()) == 1
