"""Answers to the questions of sessions, by enrolment. Only rosters read them: no event has them."""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from services.enrolment.rules.questions import KeptAnswer
from services.enrolment.tables import QuestionAnswerRow
from shared.database import Transaction, insert_many


async def save(tx: Transaction, answers: Mapping[UUID, Sequence[KeptAnswer]]) -> None:
    """Keep the answers of new enrolments."""
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
