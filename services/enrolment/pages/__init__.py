"""HTTP in (HTML): what the links of letters open, without a login.

Opening a link never changes anything, since mail scanners open links; an answer is a POST, and the rules
decide about it as about a portal's event. Nobody's name is shown: a letter may be forwarded.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.enrolment.pages.facts import moment, shown
from services.enrolment.pages.notices import Message
from services.enrolment.render.certificates import pdf_of
from services.enrolment.rules.eligibility import judge_withdrawal
from services.enrolment.rules.enrolments import EnrolmentInSession
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import OfferAnswer, Withdrawal
from services.enrolment.rules.states import State
from services.enrolment.service import attendance, enrolments, requests
from shared import clock
from shared.database import Database, Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from shared.web.forms import read_form
from shared.web.links import Links, Purpose
from shared.web.notices import Closed, read_link
from shared.web.rendering import Rendering
from shared.web.responses import BY_LINK

TEMPLATES = Path(__file__).parents[1] / "templates"


class _Closed(Closed):
    """There is nothing to ask: the message says what is so, and of which session."""

    def __init__(self, message: Message, session: SessionState | None = None) -> None:
        super().__init__(message, **_about_session(session))


def add_to(api: FastAPI, database: Database, links: Links | None, policy: Policy, *, catalogue: str) -> None:
    """Serve the pages beside the API. Without ``links`` (no signing key) every link is one we do not know.

    ``catalogue``: where the public finds the sessions.
    """
    rendering = Rendering(TEMPLATES, catalogue=catalogue, notice="message.html", headers=BY_LINK)
    pages = _Pages(database, links, policy, rendering)
    for purpose, endpoint, methods in (
        (Purpose.OFFER, pages.offer, ["GET", "POST"]),
        (Purpose.WITHDRAW, pages.withdrawal, ["GET", "POST"]),
        (Purpose.CERTIFICATE, pages.certificate, ["GET"]),
    ):
        api.router.routes.append(
            Route(f"{purpose.value}/{{token}}", rendering.guarded(endpoint), methods=methods)
        )


@dataclass(frozen=True, slots=True)
class _Pages:
    database: Database
    links: Links | None
    policy: Policy
    rendering: Rendering

    # ------------------------------------------------------------------------------------ the offer

    async def offer(self, request: Request) -> Response:
        """A seat that is held: shown, and on POST taken or left."""
        now = clock.now()
        expired = Message.OFFER_EXPIRED
        enrolment_id, version = read_link(request, self.links, Purpose.OFFER, expired=expired)
        if request.method != "POST":
            async with self.database.quiet_transaction() as tx:
                offered = _still_offered(await enrolments.find(tx, enrolment_id), version, now)
            return self._offer_page(offered)
        answer = (await read_form(request, most=10)).typed("reponse")
        async with self.database.transaction() as tx:
            offered = _still_offered(await enrolments.find(tx, enrolment_id, lock=True), version, now)
            if answer not in ("oui", "non"):
                return self._offer_page(offered, status=422, error="Choisissez l’une des deux réponses.")
            accepted = answer == "oui"
            enrolment = offered.enrolment
            outcome = await self._decide(
                tx,
                OfferAnswer(uuid4(), now, enrolment.session_id, enrolment.agent.agent_id, accepted, version),
                now,
            )
        if outcome != (State.ENROLLED if accepted else State.LAPSED):
            raise _Closed(Message.OFFER_EXPIRED, offered.session)
        return self._message(Message.SEAT_TAKEN if accepted else Message.SEAT_LEFT, offered.session)

    def _offer_page(
        self, offered: EnrolmentInSession, *, status: int = 200, error: str | None = None
    ) -> Response:
        until = offered.enrolment.hold_until
        return self.rendering.page(
            "offer.html",
            status=status,
            session=shown(offered.session),
            hold_until=moment(until, offered.session) if until else "",
            error=error,
        )

    # ------------------------------------------------------------------------------------ withdrawal

    async def withdrawal(self, request: Request) -> Response:
        """An enrolment: shown, and on POST given up."""
        now = clock.now()
        expired = Message.WITHDRAWAL_LINK_EXPIRED
        enrolment_id, _ = read_link(request, self.links, Purpose.WITHDRAW, expired=expired)
        if request.method != "POST" or (await read_form(request, most=10)).typed("confirmer") != "oui":
            async with self.database.quiet_transaction() as tx:
                live = _still_live(await enrolments.find(tx, enrolment_id), now)
            return self._withdrawal_page(live)
        async with self.database.transaction() as tx:
            live = _still_live(await enrolments.find(tx, enrolment_id, lock=True), now)
            enrolment = live.enrolment
            outcome = await self._decide(
                tx, Withdrawal(uuid4(), now, enrolment.session_id, enrolment.agent.agent_id, None), now
            )
        if outcome != State.WITHDRAWN:
            raise _Closed(Message.ALREADY_ENDED, live.session)
        return self._message(Message.WITHDRAWN, live.session)

    def _withdrawal_page(self, live: EnrolmentInSession) -> Response:
        return self.rendering.page(
            "withdrawal.html",
            session=shown(live.session),
            state=live.enrolment.state,
        )

    # ------------------------------------------------------------------------------------ certificate

    async def certificate(self, request: Request) -> Response:
        """The certificate of attendance, as it stands now."""
        expired = Message.CERTIFICATE_LINK_EXPIRED
        enrolment_id, _ = read_link(request, self.links, Purpose.CERTIFICATE, expired=expired)
        async with self.database.quiet_transaction() as tx:
            found = await enrolments.find(tx, enrolment_id)
            certificate = None if found is None else await attendance.certificate(tx, found)
        if found is None:
            raise _Closed(Message.UNKNOWN)
        if certificate is None:
            raise _Closed(Message.NOT_CERTIFIED, found.session)
        headers = {**BY_LINK, "Content-Disposition": f'inline; filename="{certificate.file_name}"'}
        return Response(await pdf_of(certificate), media_type="application/pdf", headers=headers)

    # ------------------------------------------------------------------------------------ in common

    async def _decide(self, tx: Transaction, request: OfferAnswer | Withdrawal, now: datetime) -> str:
        answer = (await requests.answer(tx, [request], self.policy, now))[request.request_id]
        if answer is None:
            raise LookupError("an enrolment without its session")
        return answer.outcome

    def _message(self, message: Message, session: SessionState | None = None) -> Response:
        return self.rendering.notice(message, **_about_session(session))


def _about_session(session: SessionState | None) -> dict[str, object]:
    return {} if session is None else {"session": shown(session)}


def _still_offered(one: EnrolmentInSession | None, version: int, now: datetime) -> EnrolmentInSession:
    """The offer, if it is this one and stands. Raises what is so instead."""
    if one is None:
        raise _Closed(Message.UNKNOWN)
    enrolment, session = one.enrolment, one.session
    over = enrolment.hold_until is None or enrolment.hold_until <= now
    if session.status is Status.CANCELLED:
        raise _Closed(Message.SESSION_CANCELLED, session)
    if enrolment.state.has_seat:
        raise _Closed(Message.OFFER_TAKEN, session)
    if enrolment.state is State.LAPSED:
        raise _Closed(Message.OFFER_EXPIRED if over else Message.OFFER_LEFT, session)
    if enrolment.state is not State.OFFERED:
        raise _Closed(Message.OFFER_ENDED, session)
    if enrolment.version != version:
        raise _Closed(Message.OFFER_REPLACED, session)
    if over:
        raise _Closed(Message.OFFER_EXPIRED, session)
    return one


def _still_live(one: EnrolmentInSession | None, now: datetime) -> EnrolmentInSession:
    """The enrolment, if one may withdraw from it. Raises what is so instead."""
    if one is None:
        raise _Closed(Message.UNKNOWN)
    if one.session.status is Status.CANCELLED:
        raise _Closed(Message.SESSION_CANCELLED, one.session)
    if not one.enrolment.state.is_live:
        raise _Closed(Message.ALREADY_ENDED, one.session)
    if judge_withdrawal(one.session, one.enrolment, now) is not None:
        raise _Closed(Message.SESSION_STARTED, one.session)
    return one
