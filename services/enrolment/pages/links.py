"""The pages behind the links of letters, without login, and the explanations of problems.

Mail scanners open links, so a GET changes nothing: the answer is a POST. Letters get forwarded, so no page
shows a name or a joining address.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.enrolment.pages.questions import answers_of, field_of
from services.enrolment.render.calendar import calendar_of
from services.enrolment.render.certificates import Signature, pdf_of
from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.links import AgentEnrolment, LinkState
from services.enrolment.rules.policy import Policy
from services.enrolment.service import links as by_link
from services.enrolment.service import new_addresses
from services.enrolment.service.failures import RefusedByRules
from services.enrolment.service.links import AgentLink, CorrectionLink
from services.enrolment.service.new_addresses import AddressLink
from shared import clock, qr_codes
from shared.database import Database
from shared.events.fields import is_address
from shared.events.reasons import Reason
from shared.events.vocabulary import Format
from shared.guard import Guard
from shared.permissions import Permission
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.form_errors import FormError, sentences
from shared.web.forms import Form, read_form
from shared.web.links import A_LOG_IN_OPENS_FOR, Links, Purpose
from shared.web.logins import store
from shared.web.notices import Closed, Error, OpenedLink, read_link
from shared.web.rendering import Rendering, Sites
from shared.web.responses import BY_LINK, SECURITY, cacheable

TEMPLATES = Path(__file__).parents[1] / "templates"


A_VISIT = timedelta(days=1)


class LinkNotice(StrEnum):
    """Pages that ask nothing. ``templates/notices.html`` has their sentences."""

    UNKNOWN = "unknown"
    SESSION_CANCELLED = "session_cancelled"
    SEAT_TAKEN = "seat_taken"
    SEAT_LEFT = "seat_left"
    OFFER_EXPIRED = "offer_expired"
    OFFER_TAKEN = "offer_taken"
    OFFER_LEFT = "offer_left"
    OFFER_REPLACED = "offer_replaced"
    OFFER_ENDED = "offer_ended"
    WITHDRAWN = "withdrawn"
    MOVED = "moved"
    ALREADY_ENDED = "already_ended"
    SESSION_STARTED = "session_started"
    WITHDRAWAL_LINK_EXPIRED = "withdrawal_link_expired"
    NOT_CERTIFIED = "not_certified"
    CERTIFICATE_LINK_EXPIRED = "certificate_link_expired"
    ENROLMENTS_LINK_EXPIRED = "enrolments_link_expired"
    NOTHING_TO_COME = "nothing_to_come"
    ADDRESS_CHANGED = "address_changed"
    ADDRESS_GIVEN = "address_given"
    ADDRESS_CORRECTED = "address_corrected"
    ADDRESS_TOO_NEW = "address_too_new"
    ADDRESSES_DIFFER = "addresses_differ"
    CORRECTION_CONFIRMED = "correction_confirmed"
    NOTHING_TO_CONFIRM = "nothing_to_confirm"
    ADDRESS_LINK_EXPIRED = "address_link_expired"
    TOO_MANY_ADDRESSES = "too_many_addresses"


def rendering_for(sites: Sites) -> Rendering:
    return Rendering(TEMPLATES, service="enrolment", sites=sites, notice="message.html", headers=BY_LINK)


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    links: Links | None,
    *,
    policy: Policy,
    signature: Signature,
    sites: Sites,
) -> None:
    """Without a signing key ``links`` is None and every link is unknown."""
    rendering = rendering_for(sites)
    pages = _Pages(database, guard, links, policy, signature, rendering)
    for purpose, endpoint, methods in (
        (Purpose.OFFER, pages.offer, ["GET", "POST"]),
        (Purpose.WITHDRAW, pages.withdrawal, ["GET", "POST"]),
        (Purpose.MOVE, pages.move, ["GET", "POST"]),
        (Purpose.CERTIFICATE, pages.certificate, ["GET"]),
        (Purpose.ENROLMENTS, pages.enrolments, ["GET", "POST"]),
        (Purpose.CALENDAR, pages.calendar, ["GET"]),
        (Purpose.ADDRESS, pages.address, ["GET", "POST"]),
        (Purpose.CONFIRM_ADDRESS, pages.confirm_address, ["GET", "POST"]),
        (Purpose.CONFIRM_CORRECTION, pages.confirm_correction, ["GET", "POST"]),
    ):
        api.router.routes.append(
            Route(
                f"{purpose.value}/{{token}}",
                rendering.guarded(endpoint, Permission.FOLLOW_LINK),
                methods=methods,
            )
        )
    problems = Rendering(TEMPLATES, service="enrolment", sites=sites, headers=SECURITY)
    explained = problems.module("problems.html", reasons=Reason).problems

    async def problem(request: Request) -> Response:
        code = request.path_params["code"]
        if code not in explained:
            raise HTTPException(404)
        return cacheable(request, problems.text("problem.html", code=code, problem=explained[code]))

    api.router.routes.append(Route("/problems/{code}", problems.guarded(problem, Permission.READ_OFFER)))


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Pages:
    database: Database
    guard: Guard
    links: Links | None
    policy: Policy
    signature: Signature
    rendering: Rendering

    async def offer(self, request: Request) -> Response:
        now = clock.now()
        opened = await self._read(request, Purpose.OFFER, LinkNotice.OFFER_EXPIRED)
        link, version, back = self._link(opened), opened.number, self._back(opened)
        answer = (await read_form(request, most=10)).typed("reponse") if request.method == "POST" else None
        if answer in ("oui", "non"):
            accepted = answer == "oui"
            async with self.database.transaction() as tx:
                state, offered = await by_link.reply_to_offer(
                    tx, link, version, accepted=accepted, policy=self.policy, now=now
                )
        else:
            async with self.database.quiet_transaction() as tx:
                state, offered = await by_link.offer(tx, link, version, now)
        if offered is None or state is not LinkState.OPEN:
            return self._notice(LinkNotice(state), offered, **back)
        return self.rendering.page(
            "offer.html",
            status=200 if answer is None else 422,
            session=offered.session,
            hold_until=offered.enrolment.hold_until,
            unanswered=answer is not None,
            **back,
        )

    async def withdrawal(self, request: Request) -> Response:
        now = clock.now()
        opened = await self._read(request, Purpose.WITHDRAW, LinkNotice.WITHDRAWAL_LINK_EXPIRED)
        link, back = self._link(opened), self._back(opened)
        if request.method == "POST" and (await read_form(request, most=10)).typed("confirmer") == "oui":
            async with self.database.transaction() as tx:
                state, live = await by_link.withdraw(tx, link, self.policy, now)
        else:
            async with self.database.quiet_transaction() as tx:
                state, live = await by_link.withdrawal(tx, link, now)
        if live is None or state is not LinkState.OPEN:
            return self._notice(LinkNotice(state), live, **back)
        if live.enrolment.state.has_seat and live.session.format is not Format.BESPOKE:
            back["move"] = self._beside(opened, Purpose.MOVE)
        return self.rendering.page(
            "withdrawal.html",
            session=live.session,
            state=live.enrolment.state,
            **back,
        )

    async def move(self, request: Request) -> Response:
        """Show the offer's sessions with a free seat. A choice is shown before it moves the agent."""
        now = clock.now()
        opened = await self._read(request, Purpose.MOVE, LinkNotice.WITHDRAWAL_LINK_EXPIRED)
        link, back = self._link(opened), self._back(opened)
        form = await read_form(request, most=100) if request.method == "POST" else Form()
        chosen = form.typed("session") if request.method == "POST" else None
        refused = None
        if (to_session_id := _uuid(chosen)) is not None:
            async with self.database.quiet_transaction() as tx:
                choice = await by_link.move_choice(tx, link, to_session_id, now)
            answers, errors = answers_of(() if choice is None else choice.questions, form)
            confirmed = form.typed("confirmer") == "oui"
            if choice is not None and (errors or not confirmed):
                return self.rendering.page(
                    "move-confirm.html",
                    status=422 if confirmed else 200,
                    choice=choice,
                    field_of=field_of,
                    form=form,
                    errors=errors if confirmed else {},
                    **back,
                )
            try:
                async with self.database.transaction() as tx:
                    state, there = await by_link.move_to(
                        tx, link, to_session_id, answers, policy=self.policy, now=now
                    )
            except RefusedByRules as failure:
                refused = failure.reason
            else:
                if there is not None:
                    return self.rendering.notice(LinkNotice(state), session=there, **back)
        async with self.database.quiet_transaction() as tx:
            state, seat, others = await by_link.move(tx, link, now)
        if seat is None or state is not LinkState.OPEN:
            return self._notice(LinkNotice(state), seat, **back)
        return self.rendering.page(
            "move.html",
            status=200 if chosen is None else 422,
            session=seat.session,
            others=others,
            refused=None if refused is None else refused.refusal.label,
            unanswered=chosen is not None and refused is None,
            **back,
        )

    async def certificate(self, request: Request) -> Response:
        opened = await self._read(request, Purpose.CERTIFICATE, LinkNotice.CERTIFICATE_LINK_EXPIRED)
        async with self.database.quiet_transaction() as tx:
            state, found, certificate = await by_link.certificate(tx, self._link(opened), clock.now())
        if certificate is None:
            return self._notice(LinkNotice(state), found)
        headers = {**BY_LINK, "Content-Disposition": f'inline; filename="{certificate.file_name}"'}
        return Response(
            await pdf_of(certificate, self.signature), media_type="application/pdf", headers=headers
        )

    async def enrolments(self, request: Request) -> Response:
        opened = await self._read(request, Purpose.ENROLMENTS, LinkNotice.ENROLMENTS_LINK_EXPIRED)
        if request.method == "POST" and opened.log_in:
            return await self._log_out(opened)
        async with self.database.quiet_transaction() as tx:
            found = await by_link.enrolments_of_agent(tx, self._link(opened), clock.now())
        if isinstance(found, LinkState):
            return self._notice(LinkNotice(found), None)
        return self.rendering.page(
            "enrolments.html",
            enrolments=found,
            link_of=partial(self._link_of, opened),
            code_of=self._code_of,
            calendar=self._onward(opened, Purpose.CALENDAR),
            address=self._onward(opened, Purpose.ADDRESS),
            subscriptions=self._onward(opened, Purpose.SUBSCRIPTIONS),
            by_log_in=opened.log_in != 0,
        )

    async def _log_out(self, opened: OpenedLink) -> Response:
        """End the links of the log-in in all tabs. The notifier ends the log-in at the issuer."""
        until = max(opened.until, clock.now() + A_LOG_IN_OPENS_FOR)
        async with self.database.transaction() as tx:
            await store.note_end_of_agent(tx, opened.log_in, until)
        return self.rendering.page("logged-out.html", log_in=UUID(int=opened.log_in))

    async def calendar(self, request: Request) -> Response:
        opened = await self._read(request, Purpose.CALENDAR, LinkNotice.ENROLMENTS_LINK_EXPIRED)
        async with self.database.quiet_transaction() as tx:
            found = await by_link.enrolments_of_agent(tx, self._link(opened), clock.now())
        if isinstance(found, LinkState):
            return self._notice(LinkNotice(found), None)
        live = [*found.to_answer, *found.to_come]
        if not live:  # a calendar has at least one event (RFC 5545, 3.6)
            return self.rendering.notice(LinkNotice.NOTHING_TO_COME, **self._back(opened))
        headers = {**BY_LINK, "Content-Disposition": 'attachment; filename="mes-formations.ics"'}
        return Response(calendar_of(live), media_type="text/calendar", headers=headers)

    async def address(self, request: Request) -> Response:
        opened = await self._read(request, Purpose.ADDRESS, LinkNotice.ENROLMENTS_LINK_EXPIRED)
        link, back = self._link(opened), self._back(opened)
        typed = (await read_form(request, most=10)).typed("adresse") if request.method == "POST" else None
        if typed is not None and is_address(typed):
            async with self.database.transaction() as tx:
                state = await new_addresses.give(tx, link, typed, self.guard.digest, clock.now())
        else:
            async with self.database.quiet_transaction() as tx:
                state = await new_addresses.opens(tx, link, clock.now())
        if state is not LinkState.OPEN:
            return self.rendering.notice(LinkNotice(state), **back)
        errors = {} if typed is None else {"adresse": FormError("address")}
        return self.rendering.page(
            "address.html",
            status=422 if errors else 200,
            typed=typed or "",
            errors=sentences(self.rendering, errors),
            **back,
        )

    async def confirm_address(self, request: Request) -> Response:
        opened = await self._read(request, Purpose.CONFIRM_ADDRESS, LinkNotice.ADDRESS_LINK_EXPIRED)
        link = AddressLink(opened.subject, partial(self._is_mark_of, opened.mark))
        if request.method == "POST" and (await read_form(request, most=10)).typed("confirmer") == "oui":
            async with self.database.transaction() as tx:
                state = await new_addresses.confirm(tx, link, clock.now())
            if state is LinkState.ADDRESS_CORRECTED:
                self.guard.record(request, SecurityEvent.CORRECTION, SecurityOutcome.OK, "agent")
        else:
            async with self.database.quiet_transaction() as tx:
                state = await new_addresses.state(tx, link)
        if state is LinkState.OPEN:
            return self.rendering.page("confirm-address.html")
        return self.rendering.notice(LinkNotice(state))

    async def confirm_correction(self, request: Request) -> Response:
        opened = await self._read(request, Purpose.CONFIRM_CORRECTION, LinkNotice.NOTHING_TO_CONFIRM)
        written_to, is_about = (partial(self._is_mark_of, mark) for mark in (opened.mark, opened.number))
        link = CorrectionLink(opened.subject, written_to, is_about)
        if request.method == "POST" and (await read_form(request, most=10)).typed("confirmer") == "oui":
            async with self.database.transaction() as tx:
                state = await by_link.confirm_correction(tx, link, clock.now())
        else:
            async with self.database.quiet_transaction() as tx:
                state = await by_link.correction(tx, link, clock.now())
        if state is LinkState.OPEN:
            return self.rendering.page("confirm-correction.html")
        return self.rendering.notice(LinkNotice(state))

    def _code_of(self, seen: AgentEnrolment, label: str) -> Markup:
        if self.links is None:
            raise Closed(Error.FORGED)
        return qr_codes.svg(self.links.arrival(seen.enrolment.enrolment_id), label)

    def _link_of(self, page: OpenedLink, purpose: str, seen: AgentEnrolment) -> str:
        enrolment, session = seen.enrolment, seen.session
        number, until = 0, max(session.ends_at, clock.now() + A_VISIT)
        if (wanted := Purpose[purpose]) is Purpose.OFFER:
            number, until = enrolment.version, enrolment.hold_until or until
        back_until = int(page.until.timestamp())
        return self._to_agent(
            page, wanted, enrolment.enrolment_id, number, until=until, back_until=back_until
        )

    def _onward(self, page: OpenedLink, purpose: Purpose) -> str:
        until, back_until = clock.now() + A_VISIT, int(page.until.timestamp())
        return self._to_agent(page, purpose, page.subject, until=until, back_until=back_until)

    def _beside(self, opened: OpenedLink, purpose: Purpose) -> str:
        """Return the address of another page about the same enrolment."""
        until = clock.now() + A_VISIT
        return self._to_agent(opened, purpose, opened.subject, until=until, back_until=opened.back_until)

    def _back(self, opened: OpenedLink) -> dict[str, Any]:
        if not opened.back_until:
            return {}
        until = min(datetime.fromtimestamp(opened.back_until, UTC), clock.now() + A_VISIT)
        return {"enrolments": self._to_agent(opened, Purpose.ENROLMENTS, opened.subject, until=until)}

    def _to_agent(
        self,
        page: OpenedLink,
        purpose: Purpose,
        enrolment_id: UUID,
        number: int = 0,
        *,
        until: datetime,
        back_until: int = 0,
    ) -> str:
        """All links of a log-in end with its first."""
        if self.links is None:
            raise Closed(Error.FORGED)
        return self.links.to_agent(
            purpose,
            enrolment_id,
            page.mark,
            number,
            until=page.until if page.log_in else until,
            back_until=back_until,
            log_in=page.log_in,
        )

    def _link(self, opened: OpenedLink) -> AgentLink:
        return AgentLink(opened.subject, partial(self._is_mark_of, opened.mark))

    def _is_mark_of(self, mark: int, address: str) -> bool:
        return self.links is not None and self.links.is_mark_of(mark, address)

    async def _read(self, request: Request, purpose: Purpose, expired: LinkNotice) -> OpenedLink:
        opened = await read_link(request, self.guard, self.links, purpose, expired=expired)
        if opened.log_in:
            async with self.database.quiet_transaction() as tx:
                if await store.agent_has_ended(tx, opened.log_in, opened.until):
                    raise Closed(expired)
        return opened

    def _notice(self, message: LinkNotice, found: EnrolmentInSession | None, **values: str) -> Response:
        if found is None:
            return self.rendering.notice(message)
        return self.rendering.notice(message, session=found.session, **values)
