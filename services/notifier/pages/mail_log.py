"""Support's mail log.

A search is a POST, because proxies log URLs. Links in a shown letter open nothing, so that support cannot
answer an offer for an agent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from services.notifier.letters import NumberedSession
from services.notifier.pages.staff_area import PEOPLE
from services.notifier.render import WRITTEN_BY, Renderer
from services.notifier.service import bounces, corrections, mails, queue, sessions
from services.notifier.service.mails import MailDetails
from services.notifier.tables import MailRow, MailState
from shared.database import Transaction
from shared.events.fields import is_issuer, is_valid
from shared.guard import Guard
from shared.permissions import Permission
from shared.read_log import ReadKind, purpose_in
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.form_errors import FormError, sentences
from shared.web.links import MAIL_LOG, OPERATIONS
from shared.web.logins import StaffVisit
from shared.web.operations import ServiceLine, parked_line
from shared.web.paging import Part, edges, part_around, written
from shared.web.responses import PRIVATE, see_other

INCIDENTS = f"{OPERATIONS['notifier']}/incidents"
PAGE = 50
_SEARCHED: TypeAdapter[str] = TypeAdapter(mails.Searched)


class MailLogMessage(StrEnum):
    NO_MAIL = "no_mail"


@dataclass(frozen=True, slots=True)
class MailLogPages:
    guard: Guard
    renderer: Renderer

    # ------------------------------------------------------------------------------------ the log

    async def search(self, visit: StaffVisit) -> Response:
        if visit.request.method != "POST":
            return await self._first_page(visit)
        agent, issuer = visit.form.typed("agent"), visit.form.typed("emetteur")
        state = _state(visit.form.typed("etat"))
        typed_purpose = visit.form.get("motif", "")
        purpose = purpose_in(typed_purpose)
        errors = {}
        if purpose is None:
            errors["motif"] = FormError("purpose")
        if agent and not is_valid(_SEARCHED, agent):
            errors["agent"] = FormError("searched")
        if not is_issuer(issuer):
            errors["emetteur"] = FormError("issuer")
        part: Part[MailRow] = Part([], True, {}, {})
        about: dict[UUID, NumberedSession] = {}
        if purpose is not None and not errors:
            reading = await visit.read_for(purpose)
            async with visit.database.quiet_transaction() as tx:
                part = await part_around(
                    *edges(visit.form),
                    PAGE,
                    load=partial(
                        mails.find,
                        tx,
                        issuer=issuer or None,
                        agent_id=agent or None,
                        state=state,
                        reading=reading,
                    ),
                    position=lambda mail: written((mail.created_at, mail.mail_id)),
                )
                ids = {mail.session_id for mail in part.shown if mail.session_id is not None}
                about = await sessions.find(tx, ids)
        return self._page(
            visit,
            state,
            status=422 if errors else 200,
            agent=agent,
            issuer=issuer,
            purpose=typed_purpose,
            is_search=True,
            errors=sentences(visit.rendering, errors),
            part=part,
            sessions=about,
        )

    async def _first_page(self, visit: StaffVisit) -> Response:
        async with visit.database.quiet_transaction() as tx:
            lines = [*await status_of_mails(tx), await parked_line(tx, INCIDENTS)]
        return self._page(visit, _state(visit.request.query_params.get("etat", "")), lines=lines)

    @staticmethod
    def _page(visit: StaffVisit, state: MailState | None, *, status: int = 200, **values: Any) -> Response:
        shown: dict[str, Any] = {"lines": (), "agent": "", "issuer": "", "purpose": "", "is_search": False}
        shown |= {"errors": {}, "part": Part([], True, {}, {}), "sessions": {}, **values}
        shown |= {"state": state or "", "log": MAIL_LOG, "people": PEOPLE}
        return visit.page("mail-log.html", status=status, **shown)

    async def one_mail(self, visit: StaffVisit) -> Response:
        mail_id: UUID = visit.request.path_params["mail_id"]
        is_late = False
        if visit.request.method == "POST":
            if not visit.who.may(Permission.SEND_AGAIN):
                raise HTTPException(403)
            seen = visit.form.typed("vues")
            after = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 6 else 0
            decision = visit.form.typed("decision")
            if decision == "renvoyer":
                await self.guard.take(visit.request, "resend", mails.RESENDS, visit.who.name)
                async with visit.database.quiet_transaction() as tx:
                    sent_again = await mails.letter_of(tx, mail_id)
                await self.guard.take(visit.request, "letter", mails.RESENDS_OF_A_LETTER, sent_again)
            elif decision == "ecrire":
                await self.guard.take(visit.request, "correction", corrections.CORRECTIONS, visit.who.name)
            to = await _decide(visit, mail_id, decision, after)
            if to is not None:
                if decision == "ecrire":
                    who = visit.who.in_security_log
                    self.guard.record(visit.request, SecurityEvent.CORRECTION, SecurityOutcome.OK, who)
                return see_other(f"{MAIL_LOG}/{to}?{urlencode({'fait': decision})}")
            is_late = True
        if visit.reading is None:
            return see_other(MAIL_LOG)
        async with visit.database.quiet_transaction() as tx:
            found = await mails.show(tx, mail_id, visit.reading)
        if found is None:
            return visit.rendering.notice(MailLogMessage.NO_MAIL, log=MAIL_LOG)
        letter, context, renderer = found.letter, found.context, self._as_written(found)
        return visit.page(
            "mail.html",
            status=409 if is_late else 200,
            is_late=is_late,
            mail=found.row,
            to=f"{letter.given_name} {letter.family_name}".strip(),
            subject="" if context is None else renderer.subject(letter, context),
            text="" if context is None else renderer.text(letter, context),
            attached=() if context is None else renderer.attachments(letter, context),
            written=found.written,
            is_same=found.written is not None and found.written.by == WRITTEN_BY,
            attempts=found.attempts,
            is_on_its_way=found.row.state not in mails.ENDED,
            address=found.address,
            suppressed_since=found.suppressed_since,
            done=visit.done,
            audit=found.audit_log,
            purpose=visit.reading.purpose,
            people=PEOPLE,
            log=MAIL_LOG,
        )

    async def letter(self, visit: StaffVisit) -> Response:
        """Show the letter as it was sent or would be now, without scripts and working links."""
        mail_id: UUID = visit.request.path_params["mail_id"]
        if visit.reading is None:
            return see_other(MAIL_LOG)
        async with visit.database.quiet_transaction() as tx:
            found = await mails.show(tx, mail_id, visit.reading, ReadKind.LETTER)
        if found is None or found.context is None:
            return visit.rendering.notice(MailLogMessage.NO_MAIL, log=MAIL_LOG)
        page = self._as_written(found).page(found.letter, found.context)
        policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; form-action 'none'"
        return HTMLResponse(page, headers={**PRIVATE, "Content-Security-Policy": policy})

    def _as_written(self, found: MailDetails) -> Renderer:
        return self.renderer if found.written is None else self.renderer.at(found.written.at)


async def _decide(visit: StaffVisit, mail_id: UUID, decision: str, after: int) -> UUID | None:
    """Return the mail to show next, or None if the mail no longer waits for a decision.

    ``after`` is the number of decisions that the operator had seen, so that a double click counts once.
    """
    async with visit.database.transaction() as tx:
        match decision:
            case "renvoyer":
                return await mails.resend(tx, mail_id, actor=visit.who.name, after=after)
            case "arrive":
                _, is_done = await mails.resolve(tx, mail_id, sent=True, actor=visit.who.name)
                return mail_id if is_done else None
            case "ecrire":
                seen = visit.form.get("avant", "")
                if visit.reading and await bounces.lift_for(tx, mail_id, visit.reading, seen=seen):
                    return mail_id
                return None
            case _:
                return mail_id


async def status_of_mails(tx: Transaction) -> Sequence[ServiceLine]:
    figures = await queue.measure(tx)
    late = figures.age > queue.MAILS_LATE.total_seconds()
    ambiguous = figures.ambiguous
    return (
        ServiceLine("mails_due", figures.due, "few" if late else "open", seconds=figures.age, is_late=late),
        ServiceLine(
            "mails_ambiguous",
            ambiguous,
            "closed" if ambiguous else "open",
            address=f"{MAIL_LOG}?etat=ambiguous",
        ),
    )


def _state(value: str) -> MailState | None:
    return MailState(value) if value in set(MailState) else None
