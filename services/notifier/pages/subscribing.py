"""Subscriptions: requested, confirmed by the address's owner, changed, ended with one click.

Mail scanners open links, so only a POST changes anything. Links get forwarded, so no page shows an address or
says whether it is subscribed.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notifier.letters import Interest, InterestKind
from services.notifier.render import SUBSCRIBER_FOR, interests
from services.notifier.render.interests import Names
from services.notifier.service import subscriptions
from services.notifier.service.failures import NoLetterSent
from services.notifier.service.subscriptions import Subscriber
from shared import clock
from shared.database import Database, Transaction
from shared.events.fields import is_address
from shared.guard import Guard, LimitMet
from shared.permissions import Permission
from shared.rates import Rate
from shared.web import labels
from shared.web.form_errors import FormError, FormErrors, sentences
from shared.web.forms import read_form
from shared.web.links import NEWS, Links, Purpose
from shared.web.networks import network_of
from shared.web.notices import Closed, OpenedLink, read_link
from shared.web.rendering import Rendering
from shared.web.responses import see_other

FORM = NEWS


class SubscriptionMessage(StrEnum):
    EXPIRED = "expired"
    NO_LONGER = "no_longer"
    ASKED = "asked"
    UNSUBSCRIBED = "unsubscribed"
    SAVED = "saved"
    NOTHING_FOLLOWED = "nothing_followed"
    TOO_MANY = "too_many"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SubscriptionRates:
    of_a_network: Rate
    of_all: Rate


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    links: Links | None,
    rendering: Rendering,
    *,
    rates: SubscriptionRates,
) -> None:
    """Serve the pages beside the API. Without ``links`` nobody can subscribe."""
    pages = _SubscriptionPages(database, guard, links, rendering, rates)
    routes = (
        (FORM, pages.form, Permission.ASK_FOR_LETTER),
        (f"{Purpose.CONFIRM.value}/{{token}}", pages.confirmation, Permission.FOLLOW_LINK),
        (f"{Purpose.SUBSCRIPTIONS.value}/{{token}}", pages.subscriptions, Permission.FOLLOW_LINK),
        (f"{Purpose.PREFERENCES.value}/{{token}}", pages.preferences, Permission.FOLLOW_LINK),
        (f"{Purpose.UNSUBSCRIBE.value}/{{token}}", pages.unsubscribe, Permission.FOLLOW_LINK),
    )
    for path, endpoint, permission in routes:
        api.router.routes.append(
            Route(path, rendering.guarded(endpoint, permission), methods=["GET", "POST"])
        )


@dataclass(frozen=True, slots=True)
class _SubscriptionPages:
    database: Database
    guard: Guard
    links: Links | None
    rendering: Rendering
    rates: SubscriptionRates

    async def form(self, request: Request) -> Response:
        if self.links is None:
            raise Closed(SubscriptionMessage.CLOSED)
        offer_id = request.query_params.get("offre", "")
        names = await self._names([str(Interest.of_offer(offer_id))])
        if request.method != "POST":
            wanted = [str(Interest.of_offer(offer_id, request.query_params.get("delegation")))]
            chosen = interests.offered(names, offer_id).intersection(wanted)
            return self._form("", chosen, names, offer_id=offer_id)
        form = await read_form(request, most=200)
        address = form.typed("adresse")
        chosen = interests.offered(names, offer_id).intersection(form.every("interet"))
        errors = {}
        if not is_address(address):
            errors["adresse"] = FormError("address")
        if not chosen:
            errors["interet"] = FormError("interest")
        if errors:
            return self._form(address, chosen, names, errors, offer_id=offer_id)
        try:
            await self._ask(request, address, chosen, names)
        except LimitMet as error:
            raise Closed(SubscriptionMessage.TOO_MANY) from error
        return self._message(SubscriptionMessage.ASKED)

    async def _ask(self, request: Request, address: str, chosen: Collection[str], names: Names) -> None:
        """Write to the owner of the address. Raises `LimitMet`.

        The limit of all networks counts letters only. It is checked first: otherwise its page would reveal a
        mailbox that got its letter today.
        """
        await self.guard.take(request, "subscription", self.rates.of_a_network, network_of(request))
        titles = interests.titles(chosen, names)
        with suppress(NoLetterSent):  # the page does not reveal it
            async with self.database.transaction() as tx:
                await self.guard.take_in(tx, request, "subscriptions", self.rates.of_all)
                await subscriptions.request(tx, address, sorted(chosen), titles, self.guard.digest)

    async def _names(self, chosen: Iterable[str]) -> Names:
        async with self.database.quiet_transaction() as tx:
            return await subscriptions.names(tx, chosen)

    def _form(
        self,
        address: str,
        chosen: frozenset[str],
        names: Names,
        errors: FormErrors | None = None,
        *,
        offer_id: str = "",
    ) -> Response:
        is_known = Interest.of_offer(offer_id) in interests.listed(names)
        return self.rendering.page(
            "subscribe.html",
            status=422 if errors else 200,
            address=address,
            groups=_groups(chosen, names, offer_id if is_known else ""),
            unknown_offer=bool(offer_id) and not is_known,
            errors=sentences(self.rendering, errors or {}),
        )

    async def confirmation(self, request: Request) -> Response:
        if self.links is None:
            raise Closed(SubscriptionMessage.CLOSED)
        request_id = (await self._read(request, Purpose.CONFIRM)).subject
        if request.method != "POST":
            async with self.database.quiet_transaction() as tx:
                requested = await subscriptions.requested(tx, request_id)
            if requested is None:
                raise Closed(SubscriptionMessage.EXPIRED)
            return self.rendering.page(
                "confirm.html", interests=interests.titles(requested, await self._names(requested))
            )
        async with self.database.transaction() as tx:
            subscribed = await subscriptions.confirm(tx, request_id)
            requested = await subscriptions.requested(tx, request_id)
        if subscribed is None:
            raise Closed(SubscriptionMessage.EXPIRED if requested is None else SubscriptionMessage.NO_LONGER)
        until = clock.now() + SUBSCRIBER_FOR
        return self.rendering.page(
            "confirmed.html",
            interests=interests.titles(subscribed.interests, await self._names(subscribed.interests)),
            preferences=self.links.preferences(str(subscribed.subscriber_id), subscribed.address, until),
        )

    async def subscriptions(self, request: Request) -> Response:
        link = await self._read(request, Purpose.SUBSCRIPTIONS)
        if self.links is None:
            raise Closed(SubscriptionMessage.CLOSED)
        written_to = partial(self.links.is_mark_of, link.mark)
        async with self.database.quiet_transaction() as tx:
            opens, subscriber = await subscriptions.of_enrolment(tx, link.subject, written_to)
        if not opens:
            raise Closed(SubscriptionMessage.NO_LONGER)
        if subscriber is None:
            return self._message(SubscriptionMessage.NOTHING_FOLLOWED)
        subscriber_id = str(subscriber.subscriber_id)
        return see_other(self.links.preferences(subscriber_id, subscriber.address, link.until))

    async def preferences(self, request: Request) -> Response:
        """A link in a letter to a former address opens nothing: the mailbox may be a stranger's."""
        link = await self._read(request, Purpose.PREFERENCES)
        if request.method != "POST":
            async with self.database.quiet_transaction() as tx:
                subscribed = await self._written_to(tx, link)
                names = await subscriptions.names(tx, subscribed.interests)
            return self.rendering.page("preferences.html", groups=_groups(subscribed.interests, names))
        form = await read_form(request, most=200)
        wanted = [] if "arreter" in form else form.every("interet")
        async with self.database.transaction() as tx:
            await self._written_to(tx, link)
            left = await subscriptions.choose(tx, link.subject, wanted)
        return self._message(
            SubscriptionMessage.SAVED if left is not None else SubscriptionMessage.UNSUBSCRIBED
        )

    async def unsubscribe(self, request: Request) -> Response:
        subscriber_id = (await self._read(request, Purpose.UNSUBSCRIBE)).subject
        if request.method != "POST":
            return self.rendering.page("unsubscribe.html")
        async with self.database.transaction() as tx:
            await subscriptions.choose(tx, subscriber_id, ())
        return self._message(SubscriptionMessage.UNSUBSCRIBED)

    # ------------------------------------------------------------------------------------ in common

    async def _read(self, request: Request, purpose: Purpose) -> OpenedLink:
        return await read_link(request, self.guard, self.links, purpose, expired=SubscriptionMessage.EXPIRED)

    async def _written_to(self, tx: Transaction, link: OpenedLink) -> Subscriber:
        """Raises `Closed` if the link was sent to another address."""
        found = await subscriptions.find(tx, link.subject)
        if found is None or self.links is None or not self.links.is_mark_of(link.mark, found.address):
            raise Closed(SubscriptionMessage.NO_LONGER)
        return found

    def _message(self, message: SubscriptionMessage) -> Response:
        return self.rendering.notice(message)


@dataclass(frozen=True, slots=True)
class _Choice:
    value: str
    title: str
    chosen: bool


def _groups(
    chosen: frozenset[str], names: Names = interests.NO_NAMES, offer_id: str = ""
) -> list[tuple[str, list[_Choice]]]:
    listed = interests.listed(names, offer_id)
    of_offer = [interest for interest in listed if offer_id and interest.offer_id == offer_id]
    everywhere = Interest.of_offer(offer_id)
    here = [interest for interest in of_offer if interest == everywhere or str(interest) in chosen]
    of_kind = {kind: [i for i in listed if i.kind is kind and i not in of_offer] for kind in InterestKind}
    communities = sorted(names.keys() - set(map(str, listed)), key=lambda value: names[value])
    others = sorted(chosen - set(map(str, listed)) - names.keys())
    groups = {
        "here": here,
        "elsewhere": [interest for interest in of_offer if interest not in here],
        "theme": of_kind[InterestKind.THEME],
        "community": map(Interest.parse, communities),
        "delegation": of_kind[InterestKind.DELEGATION],
        "offer": of_kind[InterestKind.OFFER],
        "other": map(Interest.parse, others),
    }
    shown = [(group, _choices(group, found, chosen, names)) for group, found in groups.items()]
    return [(group, choices) for group, choices in shown if choices]


def _choices(group: str, found: Iterable[Interest], chosen: frozenset[str], names: Names) -> list[_Choice]:
    if group in ("delegation", "elsewhere"):
        titles = {i: labels.delegation(i.value.rpartition("/")[2]) for i in found}
    else:
        titles = {i: interests.title(i, names) for i in found}
    return [_Choice(str(i), title, str(i) in chosen) for i, title in titles.items()]
