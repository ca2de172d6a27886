"""Agents log in at an issuer and open their enrolments.

The first time, a letter to the address confirms the log-in, in the browser that began it. So who gets an
issuer to say another's address gains nothing, even if the owner of the address follows the letter's link.
A log-in leads to a link that ends within an hour, or at the log-out.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.notifier.service import agent_log_ins
from services.notifier.service.agent_log_ins import AgentOfAddress, LoggedInAgent
from services.notifier.service.failures import NoLetterSent
from shared import clock
from shared.database import Database
from shared.guard import Guard
from shared.oidc.identities import Identity, NoRole
from shared.permissions import Permission
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.forms import read_form
from shared.web.links import A_LOG_IN_OPENS_FOR, CONFIRM_LOG_IN_FOR, LOST_LINK, Links, Purpose
from shared.web.logins.attempts import Attempts
from shared.web.logins.by_issuer import LoginFault, WayByIssuer, of_issuer
from shared.web.logins.store import LoginAttemptRow, digest_of, log_in_of_agent
from shared.web.notices import read_link
from shared.web.rendering import Rendering
from shared.web.responses import see_other

if TYPE_CHECKING:
    from shared.oidc.provider import Provider

BEGIN = f"{LOST_LINK}/compte"
COME_BACK = f"{LOST_LINK}/retour"
LOG_OUT = f"{LOST_LINK}/deconnexion"


class AgentLogInMessage(StrEnum):
    SENT = "log_in_letter_sent"
    CONFIRMED = "log_in_confirmed"
    EXPIRED = "log_in_expired"
    UNCONFIRMED = "log_in_unconfirmed"


def add_to(
    api: FastAPI,
    database: Database,
    guard: Guard,
    links: Links | None,
    rendering: Rendering,
    *,
    address: str,
    providers: "Sequence[Provider]",
) -> Sequence[tuple[str, str]]:
    """Return where a log-in begins at each issuer, and its label.

    Without ``links`` no log-in opens anything.
    """
    if links is None or not providers:
        return ()
    attempts = Attempts(database, address, "inscriptions-avant", known_for=CONFIRM_LOG_IN_FOR)
    pages = _AgentPages(database, guard, links, rendering, attempts, address, providers)
    for provider in providers:
        api.router.routes.extend(_AgentsIssuer(pages, provider, address).routes())
    api.router.routes.append(
        Route(f"{LOG_OUT}/{{log_in:uuid}}", rendering.guarded(pages.log_out, Permission.LOG_IN))
    )
    api.router.routes.append(
        Route(
            f"{Purpose.CONFIRM_LOG_IN.value}/{{token}}",
            rendering.guarded(pages.confirmation, Permission.FOLLOW_LINK),
            methods=["GET", "POST"],
        )
    )
    return [(of_issuer(BEGIN, provider), provider.client.label) for provider in providers]


@dataclass(frozen=True, slots=True)
class _AgentPages:
    database: Database
    guard: Guard
    links: Links
    rendering: Rendering
    attempts: Attempts
    address: str
    providers: "Sequence[Provider]"

    async def open(self, request: Request, who: LoggedInAgent, begin: str) -> Response:
        log_in = log_in_of_agent(who.person, who.address, who.browser)
        async with self.database.transaction() as tx:
            agents = await agent_log_ins.agents_of(tx, who, log_in, clock.now())
        if not agents:
            with suppress(NoLetterSent):  # the page does not reveal it
                async with self.database.transaction() as tx:
                    await agent_log_ins.write(tx, who, self.guard.digest, clock.now())
            return self.rendering.notice(AgentLogInMessage.SENT, lost_link=LOST_LINK, begin=begin)
        self.guard.record(request, SecurityEvent.LOG_IN, SecurityOutcome.OK, "agent")
        opened = [(agent, self._link_to(agent, log_in)) for agent in agents]
        if len(opened) == 1:
            return see_other(opened[0][1])
        return self.rendering.page("agents.html", agents=opened)

    def _link_to(self, agent: AgentOfAddress, log_in: UUID) -> str:
        mark, until = self.links.mark(agent.address), clock.now() + A_LOG_IN_OPENS_FOR
        return self.links.to_agent(
            Purpose.ENROLMENTS, agent.enrolment_id, mark, until=until, log_in=log_in.int
        )

    async def log_out(self, request: Request) -> Response:
        """The page of the enrolments, which leads here, has ended its link."""
        async with self.database.transaction() as tx:
            browser = self.attempts.browser_of(request)
            ended = await agent_log_ins.end(tx, request.path_params["log_in"], browser)
        if ended is None:
            return see_other(LOST_LINK)
        self.guard.record(request, SecurityEvent.LOG_OUT, SecurityOutcome.OK, "agent")
        issuer, tokens = ended
        for provider in self.providers:
            if provider.client.name == issuer:
                return_to, secret = f"{self.address}{LOST_LINK}", self.attempts.secret_in(request)
                at_issuer = await provider.log_out_address(tokens, secret, return_to=return_to)
                return see_other(at_issuer or LOST_LINK)
        return see_other(LOST_LINK)

    async def confirmation(self, request: Request) -> Response:
        expired = AgentLogInMessage.EXPIRED
        link = await read_link(request, self.guard, self.links, Purpose.CONFIRM_LOG_IN, expired=expired)
        if request.method != "POST" or (await read_form(request, most=10)).typed("confirmer") != "oui":
            return self.rendering.page("confirm-log-in.html")
        browser = self.attempts.browser_of(request)
        async with self.database.transaction() as tx:
            is_confirmed = await agent_log_ins.confirm(tx, link.subject, browser, clock.now())
        if not is_confirmed:
            await self.guard.refuse(request, SecurityEvent.LOG_IN)
            return self.rendering.notice(AgentLogInMessage.UNCONFIRMED, lost_link=LOST_LINK)
        return self.rendering.notice(AgentLogInMessage.CONFIRMED, lost_link=LOST_LINK)


class _AgentsIssuer(WayByIssuer):
    def __init__(self, pages: _AgentPages, provider: "Provider", address: str) -> None:
        super().__init__(
            provider,
            pages.attempts,
            pages.guard,
            address=address,
            first_page=LOST_LINK,
            begin=BEGIN,
            come_back=COME_BACK,
        )
        self._pages = pages

    def routes(self) -> list[Route]:
        guarded = self._pages.rendering.guarded
        return [
            Route(self._begin, guarded(self.begin, Permission.LOG_IN)),
            Route(self._come_back, guarded(self.come_back, Permission.LOG_IN)),
        ]

    async def _log_in(self, request: Request, identity: Identity, attempt: LoginAttemptRow) -> Response:
        address = identity.address
        if isinstance(address, NoRole):
            await self._guard.refuse(request, SecurityEvent.LOG_IN)
            return self._failed(address, 403)
        person = digest_of(self._provider.issuer.address, identity.subject)
        sealed = self._provider.sealed(
            replace(identity.tokens, refresh_token=None), self._attempts.secret_in(request)
        )
        who = LoggedInAgent(person, address, attempt.browser, self._provider.client.name, sealed)
        return await self._pages.open(request, who, self._begin)

    def _failed(self, fault: LoginFault | NoRole, _status: int) -> Response:
        return self._pages.rendering.notice(fault, lost_link=LOST_LINK, begin=self._begin)
