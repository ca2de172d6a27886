"""Letters and calendars name the trainers of the newest state of a session; trainers get letters too."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from services.notifier.personal_data import TRAINERS
from shared import clock
from shared.events.catalogue import SessionTrainersChanged
from shared.personal_data import end_rows
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import cancelled, changed, enrolled, in_days, scheduled
from tests.unit.notifier.builders import SESSION_ID, a_session
from tests.unit.notifier.reading import body

ZOE, LEO = uuid4(), uuid4()
NAMES = {ZOE: "Zoé Durand", LEO: "Léo Petit"}
TO_ZOE, TO_LEO = (f"{trainer}@exemple.fr" for trainer in (ZOE, LEO))


def led_by(*trainers: UUID, **changes: Any) -> dict[str, Any]:
    """A session to come with these trainers."""
    return {"trainer_ids": trainers, **in_days(30), **changes}


def named(*trainers: UUID, version: int = 1, name: str | None = None) -> SessionTrainersChanged:
    people = [
        {"trainer_id": trainer, "name": name or NAMES[trainer], "email": f"{trainer}@exemple.fr"}
        for trainer in trainers
    ]
    values = {"session_id": SESSION_ID, "session_version": version, "trainers": people}
    return SessionTrainersChanged.model_validate(values)


async def a_letter(notifier: Notifier, number: int = 1) -> tuple[str, str]:
    """What an agent who enrols now reads: the text, and the calendar with its lines unfolded."""
    await notifier.hear(enrolled(number))
    await notifier.deliver()
    mail = notifier.relay.taken[-1].message
    return body(mail, "text/plain"), body(mail, "text/calendar").replace("\n ", "")


async def test_a_letter_and_its_calendar_name_the_trainers_once_known_without_addresses(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(trainer_ids=(LEO, ZOE)))
    for part in await a_letter(notifier):
        assert "Intervention" not in part
    await notifier.hear(named(ZOE, LEO))
    await notifier.change("DELETE FROM mail WHERE template = 'trainer-named'")
    for part in await a_letter(notifier, 2):
        assert "Intervention\u00a0: Léo Petit et Zoé Durand" in part
        assert "@exemple.fr" not in part


async def test_a_former_trainer_is_not_named_whichever_topic_is_read_first(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(trainer_ids=(ZOE, LEO)))
    await notifier.hear(named(ZOE, LEO))
    await notifier.hear(changed(trainer_ids=(LEO,)))
    text, _ = await a_letter(notifier)
    assert "Intervention\u00a0: Léo Petit\n" in text
    await notifier.hear(named(LEO, name="Léon Petit", version=3))
    await notifier.hear(named(LEO, version=2))
    assert await notifier.query("SELECT name FROM trainer") == [("Léon Petit",)]


async def letters(notifier: Notifier, template: str = "trainer-named") -> list[tuple[str, str]]:
    """The addresses of letters to trainers, with their states."""
    rows = await notifier.rows(where=f"template = '{template}'")
    return sorted((row.address, row.state) for row in rows)


async def test_each_trainer_has_one_letter_however_often_they_are_named(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**led_by(ZOE, LEO)))
    await notifier.hear(named(ZOE))
    await notifier.hear(named(ZOE, LEO))
    await notifier.deliver()
    assert await letters(notifier) == sorted([(TO_ZOE, "sent"), (TO_LEO, "sent")])
    # Said again with each change, also once the letter is not kept any more.
    await notifier.change("DELETE FROM mail")
    await notifier.hear(changed(**led_by(ZOE, LEO)))
    await notifier.hear(named(ZOE, LEO, version=2))
    assert await letters(notifier) == []


async def test_a_former_trainer_and_trainers_of_a_cancelled_session_get_no_letter(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**led_by(ZOE, LEO)))
    await notifier.hear(named(ZOE, LEO))
    await notifier.hear(changed(**led_by(LEO)))
    await notifier.deliver()
    assert await letters(notifier) == sorted([(TO_ZOE, "superseded"), (TO_LEO, "sent")])
    await notifier.hear(named(ZOE, version=3))
    await notifier.change("DELETE FROM mail")
    await notifier.hear(changed(**led_by(ZOE, LEO), version=3, status="cancelled"))
    await notifier.hear(named(LEO, ZOE, version=3))
    await notifier.deliver()
    assert {state for _, state in await letters(notifier)} == {"superseded"}


async def test_a_letter_to_a_trainer_waits_for_the_state_that_names_them(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**led_by()))
    await notifier.hear(named(ZOE, version=2))
    await notifier.deliver()
    assert await letters(notifier) == [(TO_ZOE, "pending")]
    await notifier.hear(changed(**led_by(ZOE)))
    await notifier.deliver()
    assert await letters(notifier) == [(TO_ZOE, "sent")]


async def test_trainers_get_a_letter_when_their_session_moves_or_is_cancelled(notifier: Notifier) -> None:
    moved = led_by(ZOE, LEO, venue="Quimper")
    await notifier.hear(scheduled(**led_by(ZOE)))
    await notifier.hear(named(ZOE))
    await notifier.hear(changed(**moved))
    await notifier.hear(named(ZOE, LEO, version=2))
    await notifier.hear(changed(**moved, version=3, capacity=7))
    await notifier.deliver()
    assert await letters(notifier, "trainer-session-changed") == [(TO_ZOE, "sent")]
    gone = cancelled(**moved, version=4, cancellation_reason="Salle fermée.")
    await notifier.hear(gone)
    await notifier.hear(gone)
    await notifier.deliver()
    both = sorted([(TO_ZOE, "sent"), (TO_LEO, "sent")])
    assert await letters(notifier) == await letters(notifier, "trainer-session-cancelled") == both
    calendars = [body(taken.message, "text/calendar") for taken in notifier.relay.taken]
    uids = {line for calendar in calendars for line in calendar.splitlines() if line.startswith("UID:")}
    assert uids == {f"UID:{ZOE}", f"UID:{LEO}"}


async def test_trainers_get_a_letter_when_a_seance_is_taken_out(notifier: Notifier) -> None:
    both = [{"title": title, **in_days(30)} for title in ("Matin", "Atelier")]
    await notifier.hear(scheduled(**led_by(ZOE, modules=both)))
    await notifier.hear(named(ZOE))
    await notifier.hear(changed(**led_by(ZOE, modules=both[:1])))
    await notifier.deliver()
    assert await letters(notifier, "trainer-session-changed") == [(TO_ZOE, "sent")]


async def test_trainers_are_kept_ninety_days_after_the_end(notifier: Notifier) -> None:
    await notifier.hear(scheduled(trainer_ids=(ZOE,)))
    await notifier.hear(named(ZOE))
    days = (clock.now() - a_session().ends_at) // timedelta(days=1)
    async with notifier.database.transaction() as tx:
        assert await end_rows(tx, TRAINERS, days + 1, clock.now()) == 0
        assert await end_rows(tx, TRAINERS, days - 1, clock.now()) == 1
