"""Candidates are ranked: a draft that is saved as often as one likes, a trial, the decision.

Buttons move a candidate by a step, numbers say it at once, and where there is a script rows can be dragged.
Each form brings the version of the draft that it showed: over a newer one nothing is saved.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.pages.manage.frame import NotDone
from services.enrolment.rules.named_agents import NamedAgent
from services.enrolment.rules.organising import OrganisingFault, RankingFault
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.ranking import RankingDraft, arranged, stepped
from services.enrolment.rules.states import State
from services.enrolment.service import people, ranking_drafts, selection
from services.enrolment.service.ranking_drafts import CandidatesToRank
from services.enrolment.service.selection import Selection
from shared import clock
from shared.database import Transaction
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form
from shared.web.logins import StaffVisit

SHOWN = 300
"""Most candidates that are shown; a sheet ranks more."""
PENDING = 200
"""Most who wait for their employer that are shown."""
LARGEST_RANK = 99_999


def draft_in(form: Form, found: CandidatesToRank) -> tuple[RankingDraft, dict[str, FormError]]:
    """Return the draft that a form describes, and what is wrong with it, by field.

    Who is not in the form is as in the draft that is kept.
    """
    ranks: dict[UUID, int] = {}
    errors: dict[str, FormError] = {}
    not_selected: set[UUID] = set()
    for each in _ids(found):
        field, typed = f"rang-{each}", form.typed(f"rang-{each}")
        is_shown = field in form or f"non-{each}" in form
        rank = form.number(field, LARGEST_RANK) if is_shown else found.draft.ranks.get(each)
        if f"non-{each}" in form if is_shown else each in found.draft.not_selected:
            not_selected.add(each)
        elif rank:
            ranks[each] = rank
        elif typed:
            errors[field] = FormError("not_a_rank")
    return RankingDraft(frame.version_in(form), ranks, frozenset(not_selected)), errors


@dataclass(frozen=True, slots=True)
class RankingPages:
    """The page of candidates, by the rules of ``policy``."""

    policy: Policy

    async def show(self, visit: StaffVisit) -> Response:
        """Candidates with their draft; on POST it is saved, a candidate is moved, or all is tried."""
        if visit.request.method != "POST":
            return await self._page(visit)
        found = await _found(visit)
        draft, errors = draft_in(visit.form, found)
        if errors:
            return await self._page(visit, draft=draft, errors=errors, status=422)
        for button, step in (("monter", -1), ("descendre", 1)):
            if visit.form.typed(button):
                draft = stepped(draft, _ids(found), frame.id_in(visit.form.typed(button)), step)
        async with visit.database.transaction() as tx:
            saved = await ranking_drafts.save(tx, frame.session_id_of(visit), draft, visit.who, clock.now())
        if saved is None:
            newest = replace(draft, version=(await _found(visit)).draft.version)
            return await self._page(visit, draft=newest, stale=True, status=409)
        if "essai" in visit.form:
            return await self._try(visit, saved)
        moved = visit.form.typed("monter") or visit.form.typed("descendre")
        if moved:
            return frame.to_session(frame.session_id_of(visit), "/candidatures", at=f"candidat-{moved}")
        return frame.to_session(frame.session_id_of(visit), "/candidatures", done="brouillon")

    async def decide(self, visit: StaffVisit) -> Response:
        """Decide about all candidates as the draft has it, if it is the one that was tried."""
        session_id = frame.session_id_of(visit)
        try:
            async with visit.database.transaction() as tx:
                await ranking_drafts.lock(tx, session_id)
                found = await _found_in(tx, visit)
                if frame.version_in(visit.form) != found.draft.version:
                    raise NotDone({"": FormError("draft_has_changed")})
                await self._select(tx, visit, found)
                await ranking_drafts.clear(tx, session_id, found.draft, visit.who, clock.now())
        except NotDone as error:
            return await self._page(visit, errors=error.errors, status=409)
        return frame.to_session(session_id, done="decidee")

    async def _try(self, visit: StaffVisit, draft: RankingDraft) -> Response:
        """What the decision would come to."""
        try:
            async with visit.database.transaction() as tx:
                found = await _found_in(tx, visit)
                selected = await self._select(tx, visit, found, dry_run=True)
        except NotDone as error:
            return await self._page(visit, draft=draft, errors=error.errors, is_saved=True, status=422)
        return await self._page(visit, tried=selected)

    async def _select(
        self, tx: Transaction, visit: StaffVisit, found: CandidatesToRank, *, dry_run: bool = False
    ) -> Selection:
        order = arranged(found.draft, _ids(found))
        if order.undecided:
            raise NotDone({"": FormError("undecided", len(order.undecided))})
        agents = {line.enrolment.enrolment_id: line.enrolment.agent for line in found.lines}

        def named(each: UUID) -> NamedAgent:
            return NamedAgent(agents[each].agent_id, agents[each].issuer)

        selected = await selection.select(
            tx,
            frame.session_id_of(visit),
            [named(each) for each in order.ranked],
            [named(each) for each in order.not_selected],
            organiser=visit.who,
            policy=self.policy,
            now=clock.now(),
            dry_run=dry_run,
        )
        match selected:
            case None:
                raise HTTPException(404)
            case OrganisingFault():
                raise NotDone({"": FormError(selected)})
            case RankingFault():
                raise NotDone({"": FormError("candidates_have_changed")})
            case Selection():
                return selected

    async def _page(
        self,
        visit: StaffVisit,
        *,
        status: int = 200,
        draft: RankingDraft | None = None,
        errors: FormErrors | None = None,
        is_saved: bool = False,
        stale: bool = False,
        tried: Selection | None = None,
    ) -> Response:
        async with visit.database.quiet_transaction() as tx:
            numbers = await frame.own_session(tx, visit)
            found = await _found_in(tx, visit)
            _, pending = await frame.lines_in(tx, visit, [State.PENDING_APPROVAL], PENDING)
            lists = await people.nominations(tx, frame.session_id_of(visit))
        draft = draft or found.draft
        order = arranged(draft, _ids(found))
        return frame.page(
            visit,
            "ranking.html",
            numbers,
            "candidatures",
            status=status,
            errors=errors,
            found=found,
            lines={line.enrolment.enrolment_id: line for line in found.lines},
            order=order.first(SHOWN),
            draft=draft,
            is_cut=len(found.lines) > SHOWN,
            is_saved=is_saved,
            stale=stale,
            tried=tried,
            pending=pending,
            nominations=lists,
        )


def _ids(found: CandidatesToRank) -> list[UUID]:
    return [line.enrolment.enrolment_id for line in found.lines]


async def _found(visit: StaffVisit) -> CandidatesToRank:
    async with visit.database.quiet_transaction() as tx:
        return await _found_in(tx, visit)


async def _found_in(tx: Transaction, visit: StaffVisit) -> CandidatesToRank:
    found = await ranking_drafts.show(tx, frame.session_id_of(visit), visit.who, frame.reading(visit))
    if found is None:
        raise HTTPException(404)
    return found
