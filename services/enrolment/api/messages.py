from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.enrolment.api.access import ActingOrganiser, Database, Organiser, found
from services.enrolment.rules.messages import MessageFault, OrganiserMessage
from services.enrolment.service import messages
from services.enrolment.service.failures import MessageNotTaken
from services.enrolment.tables import MessageRow
from shared.auth import TokenFirst
from shared.events.enrolment import MessageAudience
from shared.events.vocabulary import Instant, MessageText, Url, at_most
from shared.http import PROBLEMS, Problem

router = APIRouter(prefix="/api/v1", tags=["organisers"], route_class=TokenFirst, responses=PROBLEMS)

MAX_NAMED = 500


class NewMessage(BaseModel):
    """A message, its recipients, and the moment at which it leaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: MessageText = Field(
        description="The text without a greeting: the letter adds one. A blank line ends a paragraph."
    )
    link: Url | None = Field(default=None, description="One link, shown in full. The text has no links.")
    audience: Annotated[tuple[MessageAudience, ...], at_most(len(MessageAudience))] = Field(
        default=tuple(MessageAudience),
        min_length=1,
        max_length=len(MessageAudience),
        description="The default is all states.",
    )
    enrolment_ids: Annotated[tuple[UUID, ...], at_most(MAX_NAMED)] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAMED,
        description="Only these agents among the recipients. Null: all.",
    )
    send_at: Instant | None = Field(
        default=None, description="Null: in a minute. The message can be taken back until then."
    )

    def message(self) -> OrganiserMessage:
        audience = tuple(sorted(set(self.audience), key=list(MessageAudience).index))
        ids = None if self.enrolment_ids is None else tuple(sorted(set(self.enrolment_ids)))
        return OrganiserMessage(self.text, self.link, audience, ids)


class MessageItem(BaseModel):
    """A message to people in a session."""

    message_id: UUID
    author: str
    text: str
    link: str | None
    audience: list[MessageAudience]
    enrolment_ids: list[UUID] | None
    send_at: datetime
    sent_at: datetime | None = Field(
        description="When the letters were queued. Null: not yet, and the message can be taken back."
    )


class MessagePlanned(BaseModel):
    """When a message leaves, and its present number of recipients."""

    message_id: UUID | None = Field(description="Null after a dry run.")
    send_at: datetime
    recipients: int = Field(
        description="People in the chosen states when the message leaves. Each person counts once."
    )
    unreachable: int = Field(
        description="People in the chosen states whose mails come back. Nothing is sent to them."
    )


class Messages(BaseModel):
    """The messages of a session, 100 at most; the last to leave comes first."""

    items: list[MessageItem]


@router.post(
    "/sessions/{session_id}/messages",
    status_code=201,
    summary="Send a message to the people in a session",
    responses={200: {"model": MessagePlanned, "description": "It was only tried, and would be taken."}},
)
async def write(
    session_id: UUID,
    new: NewMessage,
    acting: ActingOrganiser,
    *,
    response: Response,
    dry_run: Annotated[
        bool, Query(description="Only report when the message would leave, and the number of recipients.")
    ] = False,
) -> MessagePlanned:
    """A letter to each person who is enrolled, waiting, offered a seat or pending when it leaves.

    Two equal messages within a minute count as one. The notifier previews the letter (`POST
    /api/v1/sessions/{session_id}/messages/preview`).
    """
    try:
        planned = await messages.plan(acting, session_id, new.message(), new.send_at, dry_run=dry_run)
    except MessageNotTaken as failure:
        raise _refused(failure.fault) from None
    response.status_code = 200 if dry_run else 201
    return MessagePlanned(
        message_id=planned.row.message_id if planned.row is not None else None,
        send_at=planned.send_at,
        recipients=planned.reach.reachable,
        unreachable=planned.reach.unreachable,
    )


@router.get(
    "/sessions/{session_id}/messages", summary="The messages to the people in a session, sent and planned"
)
async def show(session_id: UUID, database: Database, organiser: Organiser) -> Messages:
    """The messages with their authors."""
    async with database.quiet_transaction() as tx:
        rows = found(await messages.of_session(tx, session_id, organiser), f"session {session_id}")
    return Messages(items=[_item(row) for row in rows])


@router.delete("/messages/{message_id}", status_code=204, summary="Take back a message that has not left")
async def take_back(message_id: UUID, acting: ActingOrganiser) -> None:
    """The message is removed, as if it had not been written."""
    await messages.take_back(acting, message_id)


def _item(row: MessageRow) -> MessageItem:
    values = row.model_dump(exclude={"session_id", "created_at", "published_at"})
    return MessageItem.model_validate(values | {"sent_at": row.published_at})


def _refused(fault: MessageFault) -> Problem:
    match fault:
        case MessageFault.SESSION_IS_CANCELLED:
            return Problem(409, "Not possible now", "The session is cancelled.")
        case MessageFault.ENOUGH_THAT_DAY:
            detail = "The people in the session already have a message on that day: choose another day."
            return Problem(409, "Not possible now", detail)
        case MessageFault.IS_PAST:
            return Problem(422, "Wrong time", "send_at is past.")
        case MessageFault.TOO_FAR:
            return Problem(422, "Wrong time", "send_at is more than a year away.")
        case MessageFault.NOT_OF_THE_SESSION:
            return Problem(422, "Wrong enrolment", "enrolment_ids has one that is not of this session.")
