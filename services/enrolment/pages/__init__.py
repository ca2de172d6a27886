"""HTTP in (HTML): what the links of letters open, without a login.

Opening a link never changes anything, since mail scanners open links; an answer is a POST, and the rules
decide about it as about a portal's event. Nobody's name is shown: a letter may be forwarded.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.enrolment import certificates, desk
from services.enrolment.certificates import certificate_of
from services.enrolment.pages.messages import BUTTONS, HEADINGS, STATES, Message
from services.enrolment.pages.rendering import PRIVATE, Rendering, moment, shown
from services.enrolment.rules import OfferAnswer, Policy, State, Withdrawal, judge_withdrawal
from services.enrolment.rules import Request as Asked
from services.enrolment.store.standing import (
    Standing,
    attended,
    standing,
    standing_for_update,
)
from shared import clock
from shared.database import Database, Transaction, is_temporary
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Status
from shared.links import Expired, Forged, Links, Purpose

log = logging.getLogger(__name__)


class _Closed(Exception):
    """There is nothing to ask: the message says what is so."""

    def __init__(self, message: Message, session: SessionState | None = None) -> None:
        super().__init__(message.name)
        self.message = message
        self.session = session


def add_to(api: FastAPI, database: Database, links: Links | None, policy: Policy, *, catalogue: str) -> None:
    """Serve the pages beside the API. Without ``links`` (no signing key) every link is one we do not know.

    ``catalogue``: where the public finds the sessions.
    """
    pages = _Pages(database, links, policy, Rendering(catalogue))
    for purpose, endpoint, methods in (
        (Purpose.OFFER, pages.offer, ["GET", "POST"]),
        (Purpose.WITHDRAW, pages.withdrawal, ["GET", "POST"]),
        (Purpose.CERTIFICATE, pages.certificate, ["GET"]),
    ):
        api.router.routes.append(
            Route(f"{purpose.value}/{{token}}", pages.guarded(endpoint), methods=methods)
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
        enrolment_id, version = self._about(request, Purpose.OFFER, Message.OFFER_EXPIRED, now)
        if request.method != "POST":
            async with self.database.quiet_transaction() as tx:
                offered = _still_offered(await standing(tx, enrolment_id), version, now)
            return self._offer_page(offered)
        answer = await _field(request, "reponse")
        async with self.database.transaction() as tx:
            offered = _still_offered(await standing_for_update(tx, enrolment_id), version, now)
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

    def _offer_page(self, offered: Standing, *, status: int = 200, error: str | None = None) -> Response:
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
        enrolment_id, _ = self._about(request, Purpose.WITHDRAW, Message.WITHDRAWAL_LINK_EXPIRED, now)
        if request.method != "POST" or await _field(request, "confirmer") != "oui":
            async with self.database.quiet_transaction() as tx:
                live = _still_live(await standing(tx, enrolment_id), now)
            return self._withdrawal_page(live)
        async with self.database.transaction() as tx:
            live = _still_live(await standing_for_update(tx, enrolment_id), now)
            enrolment = live.enrolment
            outcome = await self._decide(
                tx, Withdrawal(uuid4(), now, enrolment.session_id, enrolment.agent.agent_id, None), now
            )
        if outcome != State.WITHDRAWN:
            raise _Closed(Message.ALREADY_ENDED, live.session)
        return self._message(Message.WITHDRAWN, live.session)

    def _withdrawal_page(self, live: Standing) -> Response:
        return self.rendering.page(
            "withdrawal.html",
            session=shown(live.session),
            state=live.enrolment.state,
            headings=HEADINGS,
            states=STATES,
            buttons=BUTTONS,
        )

    # ------------------------------------------------------------------------------------ certificate

    async def certificate(self, request: Request) -> Response:
        """The certificate of attendance, as it stands now."""
        now = clock.now()
        enrolment_id, _ = self._about(request, Purpose.CERTIFICATE, Message.CERTIFICATE_LINK_EXPIRED, now)
        async with self.database.quiet_transaction() as tx:
            found = await standing(tx, enrolment_id)
            seen = await attended(tx, enrolment_id)
        if found is None:
            raise _Closed(Message.UNKNOWN)
        if found.enrolment.state is not State.CERTIFIED or seen is None:
            raise _Closed(Message.NOT_CERTIFIED, found.session)
        certificate = certificate_of(found.enrolment, found.session, seen.modules, seen.recorded_at)
        headers = PRIVATE | {"Content-Disposition": f'inline; filename="{certificate.file_name}"'}
        return Response(await certificates.pdf_of(certificate), media_type="application/pdf", headers=headers)

    # ------------------------------------------------------------------------------------ in common

    def guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[..., Awaitable[Response]]:
        """The endpoint, with a page for what cannot be done."""

        async def guarded(request: Request) -> Response:
            try:
                return await endpoint(request)
            except _Closed as closed:
                return self._message(closed.message, closed.session)
            except Exception as error:
                if not is_temporary(error):
                    raise
                log.warning("A page could not be served (%s)", type(error).__name__)
                return self._message(Message.UNAVAILABLE)

        return guarded

    def _about(self, request: Request, purpose: Purpose, expired: Message, now: datetime) -> tuple[UUID, int]:
        """The enrolment, and the version that an offer's link names; 0 where a link names none."""
        if self.links is None:
            raise _Closed(Message.FORGED)
        try:
            enrolment_id, *version = self.links.read(purpose, request.path_params["token"], now)
            return UUID(enrolment_id), int(version[0]) if version else 0
        except (Forged, ValueError) as error:  # the latter: signed by us, for something else
            raise _Closed(Message.FORGED) from error
        except Expired as error:
            raise _Closed(expired) from error

    async def _decide(self, tx: Transaction, asked: Asked, now: datetime) -> str:
        answer = (await desk.answer(tx, [asked], self.policy, now))[asked.request_id]
        if answer is None:
            raise LookupError("an enrolment without its session")
        return answer.outcome

    def _message(self, message: Message, session: SessionState | None = None) -> Response:
        text = message.value
        return self.rendering.page(
            "message.html", status=text.status, message=text, session=shown(session) if session else None
        )


async def _field(request: Request, name: str) -> str:
    async with request.form(max_files=0, max_fields=10) as form:
        value = form.get(name)
    return value if isinstance(value, str) else ""


def _still_offered(one: Standing | None, version: int, now: datetime) -> Standing:
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


def _still_live(one: Standing | None, now: datetime) -> Standing:
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
