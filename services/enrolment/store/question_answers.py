"""Answers to the questions of sessions. Only rosters read them; no event contains them."""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text

from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.tables import QuestionAnswerRow
from shared.database import Transaction
from shared.events.catalogue import SessionState
from shared.statements import insert_many


async def asked_before(tx: Transaction, session: SessionState) -> dict[str, str]:
    asked = [question.question_id for question in session.questions]
    rows = await tx.execute(_ASKED_BEFORE, {"session": session.session_id, "asked": asked})
    return {row.question_id: row.question for row in rows}


async def save(tx: Transaction, answers: Mapping[UUID, Sequence[KeptAnswer]]) -> None:
    if answers:
        rows = [
            {
                "enrolment_id": enrolment_id,
                "question_id": answer.question_id,
                "question": answer.question,
                "value": json.dumps(answer.value, ensure_ascii=False),
                "kept_days": answer.kept_days,
            }
            for enrolment_id, given in answers.items()
            for answer in given
        ]
        await insert_many(tx, QuestionAnswerRow, rows)


_ASKED_BEFORE = text(
    "SELECT DISTINCT ON (question_id) question_id, question "
    "FROM question_answer JOIN enrolment USING (enrolment_id) "
    "WHERE session_id = :session AND question_id <> ALL(CAST(:asked AS text[])) "
    "ORDER BY question_id, received_at DESC"
)
