"""Kafka in: what portals ask, and what the catalogue says of its sessions."""

from services.enrolment import store
from shared import clock
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import SESSION_EVENTS, SessionState
from shared.events.portal import EnrolmentRequested, WithdrawalRequested
from shared.events.topics import Topic
from shared.messaging.consumer import Subscriptions
from shared.messaging.decoding import Received

subscriptions = Subscriptions("enrolment")

subscriptions.park(Topic.PORTAL_AGENTS, portal.AgentErasureRequested)


@subscriptions.on(
    Topic.PORTAL_ENROLMENTS,
    EnrolmentRequested,
    WithdrawalRequested,
    not_yet=(portal.GroupEnrolmentRequested, portal.ApprovalDecided, portal.SeatOfferAnswered),
)
async def on_requests(
    tx: Transaction, received: list[Received[EnrolmentRequested | WithdrawalRequested]]
) -> None:
    """Answer a batch of portal requests, in the order the broker received them."""
    now = clock.now()
    asked = [store.request_of(one) for one in received]
    desk = await store.open_books(tx, asked)
    for book, requests in desk.by_book():
        book.decide(requests, now)
    await store.save(tx, desk.books.values(), now)
    await store.keep_for_later(tx, desk.without_session)


@subscriptions.on(Topic.CATALOGUE_SESSIONS, *SESSION_EVENTS)
async def on_sessions(tx: Transaction, received: list[Received[SessionState]]) -> None:
    """Take over newer states of sessions, with all that follows for those enrolled, waiting or asking."""
    now = clock.now()
    newest = {one.event.session_id: one.event for one in sorted(received, key=lambda one: one.event.version)}
    desk = await store.open_books_for_sessions(tx, newest)
    for book, requests in desk.by_book():
        book.change(newest[book.session.session_id], now)
        book.decide(requests, now)
    await store.save(tx, desk.books.values(), now)
