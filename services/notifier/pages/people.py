"""Support's page of persons: whom an address, a name, an identifier or a reference leads to, and their story.

What is looked for, and whom the page shows, travel in the body of a POST: addresses of pages end in logs.
"""

from dataclasses import dataclass

from starlette.responses import Response

from services.notifier.pages.fields import is_agent_id, is_issuer
from services.notifier.service import people
from services.notifier.service.people import KnownPerson
from shared.database import Database
from shared.events.vocabulary import AgentKey
from shared.read_log import Reading, purpose_in
from shared.web.logins import StaffVisit
from shared.web.refusals import REFUSALS

SHORTEST, LONGEST = 2, 200
"""Characters of what is looked for."""


@dataclass(frozen=True, slots=True)
class PeoplePages:
    """``path`` is their own, ``log`` that of the mail log."""

    database: Database
    path: str
    log: str

    async def show(self, visit: StaffVisit) -> Response:
        """The form; on POST who is found, or the story of the one whom it leads to, or who was chosen."""
        form = visit.form
        typed, chosen = form.typed("cherche"), AgentKey(form.typed("emetteur"), form.typed("agent"))
        if visit.request.method != "POST":
            return self._search(visit)
        purpose = purpose_in(form.get("motif", ""))
        is_chosen = is_agent_id(chosen.agent_id) and is_issuer(chosen.issuer)
        wrong = [
            *(["motif"] if purpose is None else []),
            *(["cherche"] if not is_chosen and not SHORTEST <= len(typed) <= LONGEST else []),
        ]
        if purpose is None or wrong:
            return self._search(visit, typed, wrong=wrong, status=422)
        reading = await visit.read_for(purpose)
        if is_chosen:
            return await self._story(visit, chosen, reading)
        async with self.database.quiet_transaction() as tx:
            found = await people.find(tx, typed, reading)
        if len(found) == 1:
            return await self._story(visit, found[0].agent, reading)
        return self._search(visit, typed, found=found)

    def _search(
        self,
        visit: StaffVisit,
        typed: str = "",
        *,
        found: list[KnownPerson] | None = None,
        wrong: list[str] | None = None,
        status: int = 200,
    ) -> Response:
        """The form; ``found`` are those of a search, None before it."""
        return visit.page(
            "people.html",
            status=status,
            typed=typed,
            purpose=visit.form.get("motif", ""),
            wrong=wrong or [],
            found=None if found is None else found[: people.MOST],
            is_cut=found is not None and len(found) > people.MOST,
        )

    async def _story(self, visit: StaffVisit, agent: AgentKey, reading: Reading) -> Response:
        async with self.database.quiet_transaction() as tx:
            story = await people.story(tx, agent, reading)
        return visit.page("person.html", story=story, refusals=REFUSALS, people=self.path, log=self.log)
