"""HTTP API for support staff: the mails of an agent and what became of them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.notifier.letters import EnrolmentState
from services.notifier.render import Renderer
from services.notifier.service import mails as mails_service
from services.notifier.service import notices
from services.notifier.tables import MailRow, MailState
from shared.auth import Principal, TokenFirst, Tokens, requires
from shared.database import Database
from shared.events.enrolment import MessageAudience
from shared.events.vocabulary import Instant, IssuerName, MessageText, Url
from shared.guard import Guard
from shared.http import PROBLEMS, Problem, add_routers, new_api
from shared.permissions import Permission
from shared.read_log import PurposeHeader, Reading, reading_of
from shared.web.paging import page_of, position

_KEY = TypeAdapter(tuple[Instant, UUID])


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


NotifierDatabase = Annotated[Database, Depends(_database)]
_SUPPORT = "API_TOKENS_FILE: support or admin"
Support = Annotated[Principal, Depends(requires(Permission.READ_MAILS, documented=_SUPPORT))]
SendingAgain = Annotated[Principal, Depends(requires(Permission.SEND_AGAIN, documented=_SUPPORT))]
Organiser = Annotated[
    Principal,
    Depends(requires(Permission.MANAGE_ENROLMENTS, documented="API_TOKENS_FILE: organiser or admin")),
]


class MessageDraft(BaseModel):
    """A message that an organiser writes to the participants of a session."""

    model_config = ConfigDict(extra="forbid")

    text: MessageText
    link: Url | None = None
    reader: MessageAudience = Field(
        default=MessageAudience.ENROLLED, description="The state of the recipient's enrolment."
    )


class LetterPreview(BaseModel):
    """The letter as its reader would receive it now. Its links open nothing."""

    subject: str
    text: str
    html: str


class MailItem(BaseModel):
    """A mail and its state. It never has the address or the text."""

    mail_id: UUID
    cause_id: UUID = Field(description="The ce_id of the event that caused the mail.")
    template: str
    agent_id: str
    issuer: str = Field(
        default="",
        description=(
            "The issuer of the agent_id. Empty for older events and for a recipient who is not an agent."
        ),
    )
    session_id: UUID | None
    enrolment_id: UUID | None
    state: MailState
    attempts: int
    message_id: str | None
    smtp_code: int | None
    smtp_answer: str | None
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None
    bounced_at: datetime | None = Field(description="When a report of non-delivery came.")
    bounce_status: str | None = Field(description="The RFC 3463 code of the report.")


class MailDecision(BaseModel):
    """A decision of an operator about a mail."""

    at: datetime
    actor: str
    action: str


class MailDetail(MailItem):
    """A mail, with the decisions about it."""

    decisions: list[MailDecision]


class MailResent(BaseModel):
    """The new mail. It becomes ``superseded`` instead of ``sent`` if its text is no longer true."""

    mail_id: UUID


class MailPage(BaseModel):
    """Mails, newest first. ``next`` is the cursor of the next page; null on the last page."""

    items: list[MailItem]
    next: str | None


class MailSearch(BaseModel):
    """Criteria for mails. They travel in the body because URLs stay in the logs of proxies."""

    model_config = ConfigDict(extra="forbid")
    agent_id: mails_service.Searched | None = Field(
        default=None,
        description=(
            "An agent's identifier, or a reference from a letter, also as dictated. An address is "
            "refused: the search could not be shown to a person who is found by address only."
        ),
    )
    issuer: IssuerName | None = Field(
        default=None, description="The issuer of the agent_id. Null: any issuer; each item names its issuer."
    )
    state: MailState | None = None
    cursor: str | None = Field(default=None, description="`next` of the previous page.")
    limit: int = Field(default=100, ge=1, le=500)


class MailCounts(BaseModel):
    """The number of mails in each state."""

    states: dict[MailState, int]


_MAIL = "9a4f1c77-2d63-4f0b-8a5e-6c1d0b9e3f22"
_ITEM = {
    "mail_id": _MAIL,
    "cause_id": "1c7e4a90-3f5b-4a6d-8e21-9b0f7c6d5e43",
    "template": "enrolled",
    "agent_id": "IEL-0048151",
    "issuer": "iel",
    "session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11",
    "enrolment_id": "0b9f3c52-6b7e-5a38-8a3e-1f0c2d4e5f60",
    "state": "sent",
    "attempts": 1,
    "message_id": "<9a4f1c77@formations.example.fr>",
    "smtp_code": 250,
    "smtp_answer": "2.0.0 Ok: queued",
    "created_at": "2026-11-25T12:00:00Z",
    "due_at": "2026-11-25T12:00:00Z",
    "settled_at": "2026-11-25T12:00:01Z",
    "bounced_at": None,
    "bounce_status": None,
}
_DECISION = {"at": "2026-11-25T14:00:00Z", "actor": "assistance", "action": "resent"}
_EXAMPLES: dict[str, Any] = {
    "MailPage": {"items": [_ITEM], "next": None},
    "MailSearch": {"agent_id": "IEL-0048151", "issuer": "iel"},
    "MailCounts": {"states": {"sent": 48_210, "pending": 12, "failed": 3}},
    "MailDetail": {**_ITEM, "decisions": [_DECISION]},
    "MessageDraft": {
        "text": "Venez avec un ordinateur portable.",
        "link": "https://ressources.example.org/preparer-les-ateliers",
        "reader": "enrolled",
    },
    "LetterPreview": {
        "subject": "Message de l’organisateur : « IA et territoires »",
        "text": "Bonjour Prénom Nom,\n\n…",
        "html": "<!doctype html>…",
    },
    "MailResent": {"mail_id": "c0a8f3d1-7b52-4e8e-9d34-5a6b7c8d9e0f"},
}


router = APIRouter(prefix="/api/v1", route_class=TokenFirst, responses=PROBLEMS)


def build(database: Database, tokens: Tokens, guard: Guard, renderer: Renderer) -> FastAPI:
    api = new_api(
        "notifier",
        "Mails: what was sent to whom, when, and what is still to send.",
        guard,
        examples=_EXAMPLES,
    )
    api.state.database = database
    api.state.tokens = tokens
    api.state.renderer = renderer
    add_routers(api, router)
    return api


@router.get("/mails", tags=["mails"], summary="All mails, or those in a state")
async def mails(
    database: NotifierDatabase,
    staff: Support,
    *,
    agent_id: Annotated[
        str | None, Query(deprecated=True, description="Refused here: use POST /api/v1/mails/search.")
    ] = None,
    state: MailState | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    purpose: PurposeHeader = None,
) -> MailPage:
    """The newest mail comes first."""
    if agent_id is not None:
        raise Problem(
            400,
            "An agent's id has no place in a URL",
            'Ask with POST /api/v1/mails/search and the body {"agent_id": "…"}: URLs stay in logs.',
        )
    wanted = MailSearch(state=state, cursor=cursor, limit=limit)
    return await _found(database, wanted, reading_of(staff, purpose))


@router.post("/mails/search", tags=["mails"], summary="The mails of an agent, or those in a state")
async def search(
    database: NotifierDatabase, staff: Support, search: MailSearch, purpose: PurposeHeader = None
) -> MailPage:
    """The newest mail comes first."""
    return await _found(database, search, reading_of(staff, purpose))


@router.get("/mails/counts", tags=["mails"], summary="How many mails are in each state")
async def counts(database: NotifierDatabase, _staff: Support) -> MailCounts:
    async with database.quiet_transaction() as tx:
        return MailCounts(states=await mails_service.counts(tx))


@router.get("/mails/{mail_id}", tags=["mails"], summary="One mail, with its decisions")
async def mail(
    database: NotifierDatabase, staff: Support, mail_id: UUID, purpose: PurposeHeader = None
) -> MailDetail:
    """The answer has neither the address nor the text."""
    reading = reading_of(staff, purpose)
    async with database.quiet_transaction() as tx:
        shown = await mails_service.show(tx, mail_id, reading)
    if shown is None:
        raise _no_mail(mail_id)
    decisions = [MailDecision.model_validate(line, from_attributes=True) for line in shown.audit_log]
    return MailDetail(**_item(shown.row).model_dump(), decisions=decisions)


@router.post(
    "/mails/{mail_id}/resend",
    tags=["mails"],
    status_code=201,
    summary="Send a letter once more on purpose, as a new mail",
)
async def resend(
    database: NotifierDatabase, staff: SendingAgain, request: Request, mail_id: UUID
) -> MailResent:
    """Only a mail that has ended can be sent again, three times a day. An ambiguous mail keeps its id."""
    guard: Guard = request.app.state.guard
    await guard.take(request, "resend", mails_service.RESENDS, staff.name)
    async with database.quiet_transaction() as tx:
        letter = await mails_service.letter_of(tx, mail_id)
    await guard.take(request, "letter", mails_service.RESENDS_OF_A_LETTER, letter)
    async with database.transaction() as tx:
        again = await mails_service.resend(tx, mail_id, actor=staff.name)
        is_known = await mails_service.is_known(tx, mail_id)
    if not is_known:
        raise _no_mail(mail_id)
    if again is None:
        raise Problem(409, "Still on its way", f"The mail {mail_id} has not come to an end yet.")
    return MailResent(mail_id=again)


@router.post(
    "/sessions/{session_id}/messages/preview",
    tags=["organisers"],
    summary="Preview a message to the people in a session",
)
async def preview(
    database: NotifierDatabase,
    organiser: Organiser,
    request: Request,
    session_id: UUID,
    *,
    draft: MessageDraft,
) -> LetterPreview:
    """The letter is written as its reader would receive it now."""
    async with database.quiet_transaction() as tx:
        letter = await notices.preview(
            tx,
            session_id,
            organiser,
            text=draft.text,
            link=draft.link,
            state=EnrolmentState(draft.reader),
        )
    if letter is None:
        raise Problem(404, "Not found", f"There is no session {session_id}, or it is not yours.")
    renderer: Renderer = request.app.state.renderer
    return LetterPreview(
        subject=renderer.subject(*letter), text=renderer.text(*letter), html=renderer.page(*letter)
    )


async def _found(database: Database, search: MailSearch, reading: Reading) -> MailPage:
    after = position(search.cursor, _KEY)
    async with database.quiet_transaction() as tx:
        rows = await mails_service.find(
            tx,
            issuer=search.issuer,
            agent_id=search.agent_id,
            state=search.state,
            after=after,
            limit=search.limit + 1,
            reading=reading,
        )
    page = page_of(rows, search.limit, show=_item, key=lambda row: (str(row.created_at), str(row.mail_id)))
    return MailPage(items=page.items, next=page.next)


def _no_mail(mail_id: UUID) -> Problem:
    return Problem(404, "No such mail", f"There is no mail {mail_id}.")


def _item(row: MailRow) -> MailItem:
    names = MailItem.model_fields.keys() - {"agent_id"}
    return MailItem(agent_id=row.recipient, **{name: getattr(row, name) for name in names})
