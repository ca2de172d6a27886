"""Letters and calendars name who speaks or teaches in a session, as its newest state has it."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from services.notifier.personal_data import TRAINERS
from shared import clock
from shared.events.catalogue import SessionCancelled, SessionChanged, SessionScheduled, SessionTrainersChanged
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


def to_come(*trainers: UUID, version: int = 1) -> dict[str, Any]:
    start = clock.now() + timedelta(days=30)
    when = {"starts_at": start, "ends_at": start + timedelta(hours=7)}
    return a_session(version=version, trainer_ids=trainers, **when).model_dump()


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


async def to_trainers(notifier: Notifier) -> list[tuple[str, str]]:
    """To whom letters to trainers are, and what became of them."""
    found = await notifier.rows(where="template = 'trainer-named'")
    return sorted((row.address, row.state) for row in found)


async def test_each_trainer_has_one_letter_however_often_they_are_named(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(to_come(ZOE, LEO)))
    await notifier.hear(named(ZOE))
    await notifier.hear(named(ZOE, LEO, version=1))
    await notifier.deliver()
    mails = [taken.message for taken in notifier.relay.taken]
    assert sorted(str(mail["To"]) for mail in mails) == sorted(
        f"{NAMES[trainer]} <{trainer}@exemple.fr>" for trainer in (ZOE, LEO)
    )
    for mail in mails:
        assert "Vous intervenez dans la session" in body(mail, "text/plain")
        assert "METHOD:REQUEST" in body(mail, "text/calendar")
    # Said again with each change, also once the letter is not kept any more.
    await notifier.change("DELETE FROM mail")
    await notifier.hear(SessionChanged.model_validate(to_come(ZOE, LEO, version=2)))
    await notifier.hear(named(ZOE, LEO, version=2))
    assert await to_trainers(notifier) == []


async def test_a_letter_to_who_teaches_no_more_or_in_what_takes_no_place_is_not_sent(
    notifier: Notifier,
) -> None:
    await notifier.hear(SessionScheduled.model_validate(to_come(ZOE, LEO)))
    await notifier.hear(named(ZOE, LEO))
    await notifier.hear(SessionChanged.model_validate(to_come(LEO, version=2)))
    await notifier.deliver()
    assert await to_trainers(notifier) == sorted(
        [(f"{ZOE}@exemple.fr", "superseded"), (f"{LEO}@exemple.fr", "sent")]
    )
    await notifier.hear(named(ZOE, version=3))
    await notifier.change("DELETE FROM mail")
    await notifier.hear(SessionChanged.model_validate(to_come(ZOE, LEO, version=3) | {"status": "cancelled"}))
    await notifier.hear(named(LEO, ZOE, version=3))
    await notifier.deliver()
    assert {state for _, state in await to_trainers(notifier)} == {"superseded"}


async def test_a_letter_to_a_trainer_waits_for_the_state_that_names_them(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(to_come()))
    await notifier.hear(named(ZOE, version=2))
    await notifier.deliver()
    assert await to_trainers(notifier) == [(f"{ZOE}@exemple.fr", "pending")]
    await notifier.hear(SessionChanged.model_validate(to_come(ZOE, version=2)))
    await notifier.deliver()
    assert await to_trainers(notifier) == [(f"{ZOE}@exemple.fr", "sent")]


async def test_trainers_are_told_where_and_when_it_moves_and_that_it_is_cancelled(notifier: Notifier) -> None:
    first = to_come(ZOE)
    moved = first | {"version": 2, "trainer_ids": (ZOE, LEO), "venue": "Quimper"}
    await notifier.hear(SessionScheduled.model_validate(first))
    await notifier.hear(named(ZOE))
    await notifier.hear(SessionChanged.model_validate(moved))
    await notifier.hear(named(ZOE, LEO, version=2))
    await notifier.hear(SessionChanged.model_validate(moved | {"version": 3, "capacity": 7}))
    await notifier.deliver()
    cancelled = moved | {"version": 4, "status": "cancelled", "cancellation_reason": "Salle fermée."}
    await notifier.hear(SessionCancelled.model_validate(cancelled))
    await notifier.hear(SessionCancelled.model_validate(cancelled))
    await notifier.deliver()
    mails = [
        (
            taken.recipient.partition("@")[0],
            str(taken.message["Subject"]).partition("«")[0].rstrip(" \u00a0:"),
        )
        for taken in notifier.relay.taken
    ]
    assert sorted(mails) == sorted(
        [
            (str(ZOE), "Vous intervenez dans une session"),
            (str(ZOE), "La session où vous intervenez change de lieu"),
            (str(LEO), "Vous intervenez dans une session"),
            *((str(who), "La session où vous deviez intervenir est annulée") for who in (ZOE, LEO)),
        ]
    )
    calendars = [body(taken.message, "text/calendar") for taken in notifier.relay.taken]
    uids = {line for calendar in calendars for line in calendar.splitlines() if line.startswith("UID:")}
    assert uids == {f"UID:{ZOE}", f"UID:{LEO}"}
    assert sum("DESCRIPTION:Salle fermée." in calendar for calendar in calendars) == 2
    assert sum("METHOD:CANCEL" in calendar for calendar in calendars) == 2


async def test_a_seance_that_is_taken_out_is_told_to_trainers_too(notifier: Notifier) -> None:
    first = to_come(ZOE)
    start = first["starts_at"]
    half = {"starts_at": start, "ends_at": start + timedelta(hours=3)}
    both = [{"title": "Matin", **half}, {"title": "Atelier", **half}]
    await notifier.hear(SessionScheduled.model_validate(first | {"modules": both}))
    await notifier.hear(named(ZOE))
    await notifier.hear(SessionChanged.model_validate(first | {"modules": both[:1], "version": 2}))
    await notifier.deliver()
    (letter,) = [
        body(taken.message, "text/plain")
        for taken in notifier.relay.taken
        if "a changé" in str(taken.message["Subject"])
    ]
    assert "- Atelier (" in letter


async def test_trainers_are_kept_ninety_days_after_the_end(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(in_session(ZOE)))
    await notifier.hear(named(ZOE))
    async with notifier.database.transaction() as tx:
        ends = a_session().ends_at
        days = (clock.now() - ends).days
        assert await end_rows(tx, TRAINERS, days + 1, clock.now()) == 0
        assert await end_rows(tx, TRAINERS, days - 1, clock.now()) == 1
