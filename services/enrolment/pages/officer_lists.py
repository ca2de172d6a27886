"""The list behind the link of an officer's letter: an authority names its agents for its private session."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.enrolment.pages import lists
from services.enrolment.pages.links import rendering_for
from services.enrolment.pages.lists import ListAnswer, SentList
from services.enrolment.rules.links import ListLinkState
from services.enrolment.rules.policy import Policy
from services.enrolment.service import enrolment_lists
from services.enrolment.service.employers import EmployerDirectory
from services.enrolment.service.enrolment_lists import ListedPerson, ListedResult
from shared import clock
from shared.database import Database, Transaction
from shared.events.catalogue import Question, SessionState
from shared.guard import Guard
from shared.permissions import Permission
from shared.rates import Rate
from shared.web import labels
from shared.web.form_errors import shown_errors
from shared.web.forms import Form, read_form
from shared.web.links import Links, Purpose
from shared.web.notices import Closed, read_link
from shared.web.rendering import Rendering, Sites

A_DAY = Rate(1_000, 86_400)
"""People whom a link enrols: each gets a letter [choice]."""


class ListMessage(StrEnum):
    NO_LIST = "no_list"
    LIST_CANCELLED = "list_cancelled"
    LIST_STARTED = "list_started"
    LIST_EXPIRED = "list_expired"


def add_to(
    api: FastAPI, database: Database, guard: Guard, links: Links | None, *, policy: Policy, sites: Sites
) -> None:
    rendering = rendering_for(sites)
    page = _ListPage(database, guard, links, policy, rendering)
    path = f"{Purpose.LIST.value}/{{token}}"
    api.router.routes.append(
        Route(path, rendering.guarded(page.show, Permission.FOLLOW_LINK), methods=["GET", "POST"])
    )


@dataclass(frozen=True, slots=True)
class _ListPage:
    database: Database
    guard: Guard
    links: Links | None
    policy: Policy
    rendering: Rendering

    async def show(self, request: Request) -> Response:
        opened = await read_link(
            request, self.guard, self.links, Purpose.LIST, expired=ListMessage.LIST_EXPIRED
        )
        session_id, siret = opened.subject, f"{opened.number:014}"
        session, employers = await self._open(session_id, siret)
        form = await read_form(request, with_file=True) if request.method == "POST" else Form()
        sent = SentList(
            request,
            form,
            self.database,
            f"list {session_id} {siret}",
            for_all={enrolment_lists.SIRET.name: siret},
            approved=True,
            people=A_DAY,
            known=partial(self._known, session.questions, employers),
            enrol=partial(self._enrol, session_id, siret),
            page=partial(
                self._page,
                action=request.url.path,
                form=form,
                session=session,
                siret=siret,
                employers=employers,
            ),
        )
        return await lists.answer(sent)

    async def _open(self, session_id: UUID, siret: str) -> tuple[SessionState, EmployerDirectory]:
        async with self.database.quiet_transaction() as tx:
            state, session, employers = await enrolment_lists.opens_to_officer(
                tx, session_id, siret, clock.now()
            )
        if session is None or state is not ListLinkState.OPEN:
            raise Closed(ListMessage(state))
        return session, employers

    async def _known(
        self, questions: Sequence[Question], employers: EmployerDirectory, _tx: Transaction
    ) -> tuple[Sequence[Question], EmployerDirectory]:
        return questions, employers

    async def _enrol(
        self, session_id: UUID, siret: str, tx: Transaction, people: Sequence[ListedPerson]
    ) -> Sequence[ListedResult]:
        return await enrolment_lists.enrol_for_officer(
            tx, session_id, siret, people, policy=self.policy, now=clock.now()
        )

    async def _page(
        self,
        answer: ListAnswer,
        *,
        action: str,
        form: Form,
        session: SessionState,
        siret: str,
        employers: EmployerDirectory,
    ) -> Response:
        return self.rendering.page(
            "officer-list.html",
            status=answer.status,
            action=action,
            session=session,
            siret=siret,
            employer=employers.with_siret(siret),
            **shown_errors(self.rendering, answer.errors, [*labels.ENROLMENT_FIELDS]),
            **answer.values(form, session.questions),
        )
