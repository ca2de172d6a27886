from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.rules.messages import PAUSE, MessageFault, OrganiserMessage
from services.enrolment.service import messages
from services.enrolment.service.failures import EnrolmentFailure, MessageNotTaken
from services.enrolment.service.messages import PlannedMessage
from services.enrolment.tables import MessageRow
from shared.events.catalogue import SessionState
from shared.events.enrolment import MessageAudience
from shared.events.vocabulary import MessageText, Url
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form, moment_in, typed_moment
from shared.web.logins import StaffVisit

_TEXT: TypeAdapter[str] = TypeAdapter(MessageText)
_LINK: TypeAdapter[str] = TypeAdapter(Url)

OF_THE_MOMENT = frozenset({MessageFault.ENOUGH_THAT_DAY, MessageFault.IS_PAST, MessageFault.TOO_FAR})


def message_in(
    form: Form, session: SessionState
) -> tuple[OrganiserMessage, datetime | None, dict[str, FormError]]:
    errors: dict[str, FormError] = {}
    text, link, send_at = form.typed("texte"), form.typed("lien"), None
    try:
        text = _TEXT.validate_python(text)
    except ValidationError:
        errors["texte"] = FormError("texte")
    if link:
        try:
            _LINK.validate_python(link)
        except ValidationError:
            errors["lien"] = FormError("lien")
    audience = tuple(group for group in MessageAudience if group.value in form.every("audience"))
    if not audience:
        errors["audience"] = FormError("audience")
    if form.typed("envoi"):
        try:
            send_at = moment_in(form.typed("envoi"), session.timezone)
        except ValueError:
            errors["envoi"] = FormError("envoi")
    return OrganiserMessage(text, link or None, audience, _chosen_in(form)), send_at, errors


def _chosen_in(form: Form) -> tuple[UUID, ...] | None:
    try:
        return tuple(UUID(typed) for typed in form.every("pour")) or None
    except ValueError:
        raise HTTPException(400) from None


async def write_to(visit: StaffVisit, chosen: Sequence[UUID]) -> Response:
    return await _page(visit, chosen=[str(enrolment_id) for enrolment_id in chosen])


async def show(visit: StaffVisit) -> Response:
    if visit.request.method != "POST" or "toutes" in visit.form:
        return await _page(visit)
    async with visit.database.quiet_transaction() as tx:
        session = (await frame.own_session(tx, visit)).session
    message, send_at, errors = message_in(visit.form, session)
    if errors:
        return await _page(visit, errors=errors)
    sends = "envoyer" in visit.form
    try:
        async with frame.acting(visit) as acting:
            planned = await messages.plan(acting, session.session_id, message, send_at, dry_run=not sends)
    except EnrolmentFailure as failure:
        is_of_moment = isinstance(failure, MessageNotTaken) and failure.fault in OF_THE_MOMENT
        field = "envoi" if is_of_moment else ""
        return await _page(visit, errors={field: frame.why_not(failure)})
    if sends:
        return frame.to_session(
            session.session_id, "/messages", done="message" if send_at else "message-part"
        )
    return await _page(visit, planned=planned)


async def take_back(visit: StaffVisit) -> Response:
    message_id = frame.id_in(visit.form.typed("message"))
    try:
        async with frame.acting(visit) as acting:
            row = await messages.take_back(acting, message_id)
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, status=409)
    return await _page(visit, taken_back=row)


def _typed(form: Form) -> dict[str, Any]:
    return {
        "values": {name: form.get(name, "") for name in ("texte", "lien", "envoi")},
        "audience": form.every("audience") if "texte" in form else [MessageAudience.ENROLLED],
        "chosen": [] if "toutes" in form else form.every("pour"),
    }


def _as_typed(row: MessageRow, timezone: str) -> dict[str, Any]:
    at_once = row.send_at - row.created_at <= PAUSE
    send_at = "" if at_once else typed_moment(row.send_at, timezone)
    return {
        "values": {"texte": row.text, "lien": row.link or "", "envoi": send_at},
        "audience": row.audience,
        "chosen": row.enrolment_ids or [],
    }


async def _page(
    visit: StaffVisit,
    *,
    errors: FormErrors | None = None,
    planned: PlannedMessage | None = None,
    status: int | None = None,
    chosen: Sequence[str] = (),
    taken_back: MessageRow | None = None,
) -> Response:
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        rows = await messages.of_session(tx, frame.session_id_of(visit), visit.who)
    if rows is None:
        raise HTTPException(404)
    fields = _typed(visit.form)
    if taken_back is not None:
        fields = _as_typed(taken_back, numbers.session.timezone)
    elif chosen:
        fields["chosen"] = chosen
    return frame.page(
        visit,
        "messages.html",
        numbers,
        "messages",
        status=status or (422 if errors else 200),
        errors=errors,
        messages=rows,
        planned=planned,
        taken_back=taken_back is not None,
        a_day=frame.policy_of(visit).messages_a_day,
        **fields,
    )
