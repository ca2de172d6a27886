"""The page of what is kept of somebody: every row, by its session, in words; technical ones folded, last."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.enrolment.personal_data import REGISTER
from services.notifier.personal_data import REGISTER as REGISTER_OF_MAILS
from shared.events.vocabulary import AgentKey
from shared.messaging.session_names import add_sessions
from shared.personal_data import Register
from shared.web import labels, person_export
from tests.support.builders import a_session

AGENT = AgentKey("iel", "IEL-1")
SESSIONS = {
    UUID(int=number): a_session(session_id=UUID(int=number), title=f"Session {number}") for number in (1, 2)
}
AT = "2025-03-17T08:30:00+00:00"


def kept_in_two_sessions() -> dict[str, list[dict[str, Any]]]:
    """What two enrolments left, of which each has an attendance at its first séance, at one moment."""
    enrolled = [
        {"enrolment_id": f"e{number.int}", "session_id": str(number), "state": "enrolled", "received_at": AT}
        for number in SESSIONS
    ]
    asked = {"kind": "SeatRequest", "outcome": "enrolled", "received_at": AT}
    seen = {"module": 0, "attendance": "attended", "recorded_at": AT}
    return {
        "outbox": [{"data": f'{{"session_id":"{number}"}}', "created_at": AT} for number in SESSIONS],
        "attendance": [{"enrolment_id": row["enrolment_id"], **seen} for row in enrolled],
        "question_answer": [
            {"enrolment_id": row["enrolment_id"], "question": "Quel aménagement ?", "value": ["large_print"]}
            for row in enrolled
        ],
        "request": [{"session_id": row["session_id"], **asked} for row in enrolled],
        "enrolment": enrolled,
        "read_log": [{"kind": "roster", "role": "support", "session_id": str(UUID(int=1)), "at": AT}],
    }


async def named(kept: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The same as :func:`kept_in_two_sessions`, once the service has said which sessions these are."""

    async def find(_tx: Any, ids: Any) -> Mapping[UUID, Any]:
        return {session_id: SESSIONS[session_id] for session_id in ids}

    await add_sessions(None, kept, find)  # type: ignore[arg-type]  # no transaction is needed
    return kept


def page_of(kept: dict[str, list[dict[str, Any]]], register: Register = REGISTER) -> str:
    parts = [person_export.ServicePart("Inscriptions", register, kept)]
    return person_export.page(AGENT, parts, datetime(2025, 3, 20, tzinfo=UTC))


async def test_each_row_names_its_session_by_title_and_dates_in_the_json_too() -> None:
    kept = await named(kept_in_two_sessions())
    for table in ("outbox", "attendance", "question_answer", "request", "enrolment"):
        assert [row["session"]["title"] for row in kept[table]] == ["Session 1", "Session 2"], table
    page = page_of(kept)
    assert page.count("<h4>") == page.count("<dt>dates de la session</dt>") == sum(map(len, kept.values()))


def test_states_and_kinds_are_words_and_no_codes() -> None:
    page = page_of(kept_in_two_sessions())
    codes = (">enrolled<", "SeatRequest", "roster", ">attended<", ">support<", "large_print")
    assert [code for code in codes if code in page] == []
    assert labels.ENROLMENT_STATES["enrolled"] in page
    assert "<dt>séance</dt><dd>1</dd>" in page, "numbers of séances count from one"


def test_what_a_link_did_after_a_correction_is_not_told_as_the_persons_own_word() -> None:
    change = {"link_sent_to": "zoe@nouvelle.fr", "address_corrected_by": "portal", "address_corrected_at": AT}
    page = page_of({"enrolment_change": [{"facts": change, "at": AT}]})
    assert "par un lien envoyé à\u00a0: zoe@nouvelle.fr" in page
    assert "adresse corrigée par\u00a0: le portail" in page
    story = page_of(
        {"timeline": [{"kind": "withdrawn", "reason": "agent", "at": AT}]}, register=REGISTER_OF_MAILS
    )
    assert "demandé en votre nom" in story
    assert labels.HAPPENED_BECAUSE["agent"] not in story
