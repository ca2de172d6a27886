"""Who gets a seat. Pure and total: facts and requests in, decisions out, no clock, no I/O.

``words`` are the states, requests and answers; ``judging`` says what one request deserves; ``seats`` and
``line`` are what there is to give, ``holds`` until when an offer stands. A :class:`Book` is one session while
it is decided upon, the only place where seats and the line change: ``answering`` answers requests on it, in
``organising`` organisers rank, prioritise and record who came. Rules are numbered as in the domain's list.
"""

from services.enrolment.rules.answering import decide
from services.enrolment.rules.book import Book
from services.enrolment.rules.diary import Diary
from services.enrolment.rules.holds import hold_until, last_moment_to_offer
from services.enrolment.rules.judging import (
    Granted,
    Prospects,
    Refused,
    is_in_audience,
    judge,
    judge_answer,
    judge_approval,
    judge_withdrawal,
)
from services.enrolment.rules.line import Line
from services.enrolment.rules.organising import Fault, Seen, prioritise, rank, record_attendance
from services.enrolment.rules.seats import Seats, counts_by_employer, next_release
from services.enrolment.rules.words import (
    Answer,
    ApprovalDecision,
    AsksForSeats,
    Cause,
    Change,
    Enrolment,
    GroupRequest,
    Nomination,
    OfferAnswer,
    Policy,
    RankingFault,
    Request,
    SeatRequest,
    State,
    Withdrawal,
    enrolment_id,
    refusal,
    refused,
)

__all__ = [
    "Answer",
    "ApprovalDecision",
    "AsksForSeats",
    "Book",
    "Cause",
    "Change",
    "Diary",
    "Enrolment",
    "Fault",
    "Granted",
    "GroupRequest",
    "Line",
    "Nomination",
    "OfferAnswer",
    "Policy",
    "Prospects",
    "RankingFault",
    "Refused",
    "Request",
    "SeatRequest",
    "Seats",
    "Seen",
    "State",
    "Withdrawal",
    "counts_by_employer",
    "decide",
    "enrolment_id",
    "hold_until",
    "is_in_audience",
    "judge",
    "judge_answer",
    "judge_approval",
    "judge_withdrawal",
    "last_moment_to_offer",
    "next_release",
    "prioritise",
    "rank",
    "record_attendance",
    "refusal",
    "refused",
]
