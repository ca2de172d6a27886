"""Support's pages: search a person, and read the person's story. A search is a POST: proxies log URLs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from services.notifier.pages.staff_area import CORRECTION, ERASURE, PEOPLE, WRITTEN_AGAIN
from services.notifier.service import bounces, corrections, people, timeline
from services.notifier.service.people import Found
from services.notifier.service.timeline import Story
from shared.events.fields import is_address, is_agent_id, is_issuer
from shared.events.vocabulary import AgentKey
from shared.guard import Guard
from shared.read_log import Reading, purpose_in
from shared.references import ids_of
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.form_errors import FormError, FormErrors, sentences
from shared.web.links import MAIL_LOG
from shared.web.logins import StaffVisit
from shared.web.responses import see_other

SHORTEST, LONGEST = 2, 200
NOTHING_TYPED: Mapping[str, str] = {"nouvelle": "", "encore": ""}
NOTHING_WRONG: FormErrors = {}


@dataclass(frozen=True, slots=True)
class PeoplePages:
    """``is_believed``: this service signs its requests, so the other services accept them."""

    guard: Guard
    is_believed: bool

    async def show(self, visit: StaffVisit) -> Response:
        typed, chosen, purpose = visit.form.typed("cherche"), _chosen(visit), _purpose(visit)
        if visit.request.method != "POST":
            return self._search(visit)
        errors = {}
        if chosen is None and not SHORTEST <= len(typed) <= LONGEST:
            errors["cherche"] = FormError("person")
        if purpose is None:
            errors["motif"] = FormError("purpose")
        if purpose is None or errors:
            return self._search(visit, typed, errors=errors)
        reading = await visit.read_for(purpose)
        if chosen is not None:
            return await self._story(visit, chosen, reading)
        async with visit.database.quiet_transaction() as tx:
            found = await people.find(tx, typed, reading)
        if len(found.persons) == 1 and not found.is_near:
            return await self._story(visit, found.persons[0].agent, reading)
        return self._search(visit, typed, found=found)

    async def correct(self, visit: StaffVisit) -> Response:
        """Do nothing if the address has changed since support saw it."""
        chosen, purpose = _chosen(visit), _purpose(visit)
        if visit.request.method != "POST" or chosen is None or purpose is None:
            return see_other(PEOPLE)
        reading = await visit.read_for(purpose)
        typed = {name: visit.form.typed(name) for name in ("nouvelle", "encore")}
        errors, request_id = _errors(typed), None
        if not errors:
            async with visit.database.quiet_transaction() as tx:
                if await corrections.is_everywhere(tx, chosen, typed["nouvelle"]):
                    errors = {"nouvelle": FormError("same_address")}
        can_be_asked = self.is_believed and not errors
        if can_be_asked:
            await self.guard.take(visit.request, "correction", corrections.CORRECTIONS, visit.who.name)
            seen = visit.form.get("avant", "")
            async with visit.database.transaction() as tx:
                request_id = await corrections.request(tx, chosen, typed["nouvelle"], reading, seen=seen)
        async with visit.database.quiet_transaction() as tx:
            story = await timeline.story(tx, chosen, reading)
        if request_id is None:
            status = 409 if can_be_asked and story.person.is_correctable else 422
            return self._page(visit, story, reading, typed=typed, errors=errors, status=status)
        who = visit.who.in_security_log
        self.guard.record(visit.request, SecurityEvent.CORRECTION, SecurityOutcome.OK, who)
        return self._page(visit, story, reading, is_requested=True)

    async def write_again(self, visit: StaffVisit) -> Response:
        """Do nothing if the address has changed since support saw it."""
        chosen, purpose = _chosen(visit), _purpose(visit)
        if visit.request.method != "POST" or chosen is None or purpose is None:
            return see_other(PEOPLE)
        reading = await visit.read_for(purpose)
        await self.guard.take(visit.request, "correction", corrections.CORRECTIONS, visit.who.name)
        async with visit.database.transaction() as tx:
            is_lifted = await bounces.lift_of(tx, chosen, reading, seen=visit.form.get("avant", ""))
        async with visit.database.quiet_transaction() as tx:
            story = await timeline.story(tx, chosen, reading)
        if not is_lifted:
            return self._page(visit, story, reading, status=409)
        who = visit.who.in_security_log
        self.guard.record(visit.request, SecurityEvent.CORRECTION, SecurityOutcome.OK, who)
        return self._page(visit, story, reading, is_lifted=True)

    def _search(
        self,
        visit: StaffVisit,
        typed: str = "",
        *,
        found: Found | None = None,
        errors: FormErrors = NOTHING_WRONG,
    ) -> Response:
        return visit.page(
            "people.html",
            status=422 if errors else 200,
            typed=typed,
            purpose=visit.form.get("motif", ""),
            errors=sentences(visit.rendering, errors),
            found=None if found is None else found.persons[: people.MOST],
            is_cut=found is not None and len(found.persons) > people.MOST,
            is_near=found is not None and found.is_near,
            is_reference=ids_of(typed) is not None,
            log=MAIL_LOG,
        )

    async def _story(self, visit: StaffVisit, agent: AgentKey, reading: Reading) -> Response:
        async with visit.database.quiet_transaction() as tx:
            story = await timeline.story(tx, agent, reading)
        return self._page(visit, story, reading)

    def _page(
        self,
        visit: StaffVisit,
        story: Story,
        reading: Reading,
        *,
        typed: Mapping[str, str] = NOTHING_TYPED,
        errors: FormErrors = NOTHING_WRONG,
        status: int = 200,
        is_requested: bool = False,
        is_lifted: bool = False,
    ) -> Response:
        from shared.web import export_links  # noqa: PLC0415 it imports a library of encryption

        agent, asked = story.person.agent, reading.purpose or ""
        links = partial(export_links.addresses, self.guard, agent, asked, visit.rendering.sites)
        return visit.page(
            "person.html",
            status=status,
            story=story,
            purpose=reading.purpose,
            seen=visit.form.get("avant", "") if errors else story.person.address,
            typed=typed,
            errors=sentences(visit.rendering, errors),
            is_requested=is_requested,
            is_lifted=is_lifted,
            is_stale=status == 409,
            is_believed=self.is_believed,
            people=PEOPLE,
            correction=CORRECTION,
            written_again=WRITTEN_AGAIN,
            erasure=ERASURE,
            exports=links(export_links.EXPORT),
            incidents=links(export_links.INCIDENTS),
            log=MAIL_LOG,
        )


def _chosen(visit: StaffVisit) -> AgentKey | None:
    chosen = AgentKey(visit.form.typed("emetteur"), visit.form.typed("agent"))
    return chosen if is_agent_id(chosen.agent_id) and is_issuer(chosen.issuer) else None


def _errors(typed: Mapping[str, str]) -> FormErrors:
    errors = {}
    if not is_address(typed["nouvelle"]):
        errors["nouvelle"] = FormError("address")
    if typed["encore"] != typed["nouvelle"]:
        errors["encore"] = FormError("other_address")
    return errors


def _purpose(visit: StaffVisit) -> str | None:
    return purpose_in(visit.form.get("motif", ""))
