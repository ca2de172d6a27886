"""The ranking of candidates: a draft is saved, tried, then decided.

A form never overwrites a draft that was saved after the form was shown.
"""

from dataclasses import replace
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame
from services.enrolment.rules.ranking import DraftChange, arranged
from services.enrolment.rules.states import State
from services.enrolment.service import people, ranking_drafts
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import DraftHasChanged, EnrolmentFailure
from shared import clock
from shared.web.form_errors import FormError, FormErrors
from shared.web.forms import Form
from shared.web.logins import StaffVisit

SHOWN = 300
PENDING = 200
LARGEST_RANK = 99_999


def change_in(form: Form) -> tuple[DraftChange, dict[str, FormError]]:
    fields = [field.partition("-") for field in form]
    shown = [frame.id_in(typed) for kind, _, typed in fields if kind in ("rang", "non")]
    ranks: dict[UUID, int] = {}
    errors: dict[str, FormError] = {}
    not_selected = frozenset(candidate for candidate in shown if f"non-{candidate}" in form)
    for candidate in shown:
        field = f"rang-{candidate}"
        if rank := form.number(field, LARGEST_RANK):
            ranks[candidate] = rank
        elif form.typed(field) and candidate not in not_selected:
            errors[field] = FormError("not_a_rank")
    if "reste" in form:  # candidates without a rank
        not_selected |= {candidate for candidate in shown if candidate not in ranks}
    change = DraftChange(frame.version_in(form), frozenset(shown), ranks, not_selected)
    for button, step in (("monter", -1), ("descendre", 1)):
        if form.typed(button) and not errors:
            change = replace(change, moved=frame.id_in(form.typed(button)), step=step)
    return change, errors


async def show(visit: StaffVisit) -> Response:
    if visit.request.method != "POST":
        return await _page(visit)
    change, errors = change_in(visit.form)
    if errors:
        return await _page(visit, change=change, errors=errors, status=422)
    session_id = frame.session_id_of(visit)
    try:
        async with frame.acting(visit) as acting:
            version = await ranking_drafts.save(acting, session_id, change)
    except DraftHasChanged:
        return await _page(visit, change=change, stale=True, status=409)
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, status=409)
    if "essai" in visit.form:
        return await _try(visit, version)
    if change.moved is not None:
        return frame.to_session(session_id, "/candidatures", at=f"candidat-{change.moved}")
    return frame.to_session(session_id, "/candidatures", done="brouillon")


async def decide(visit: StaffVisit) -> Response:
    session_id, version = frame.session_id_of(visit), frame.version_in(visit.form)
    try:
        async with frame.acting(visit) as acting:
            await ranking_drafts.decide(acting, session_id, version=version)
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, status=409)
    return frame.to_session(session_id, done="decidee")


async def _try(visit: StaffVisit, version: int) -> Response:
    try:
        return await _page(visit, to_try=version)
    except EnrolmentFailure as failure:
        return await _page(visit, errors={"": frame.why_not(failure)}, is_saved=True, status=422)


async def _page(
    visit: StaffVisit,
    *,
    status: int = 200,
    change: DraftChange | None = None,
    errors: FormErrors | None = None,
    is_saved: bool = False,
    stale: bool = False,
    to_try: int | None = None,
) -> Response:
    tried = None
    async with visit.database.quiet_transaction() as tx:
        if to_try is not None:
            acting = Acting(tx, visit.who, frame.policy_of(visit), clock.now())
            session_id = frame.session_id_of(visit)
            tried = await ranking_drafts.decide(acting, session_id, version=to_try, dry_run=True)
        numbers = await frame.own_session(tx, visit)
        found = await ranking_drafts.show(tx, frame.session_id_of(visit), visit.who, frame.reading(visit))
        _, pending = await frame.lines_in(tx, visit, [State.PENDING_APPROVAL], PENDING)
        lists = await people.nominations(tx, frame.session_id_of(visit))
    if found is None:
        raise HTTPException(404)
    lines = {line.enrolment.enrolment_id: line for line in found.lines}
    draft = found.draft if change is None else change.on(found.draft, [*lines])
    if stale:  # if the organiser sends it again, it replaces the newer draft
        draft = replace(draft, version=found.draft.version)
    order = arranged(draft, [*lines])
    return frame.page(
        visit,
        "ranking.html",
        numbers,
        "candidatures",
        status=status,
        errors=errors,
        found=found,
        lines=lines,
        order=order.first(SHOWN),
        draft=draft,
        typed=visit.form,
        is_cut=len(found.lines) > SHOWN,
        is_saved=is_saved,
        stale=stale,
        tried=tried,
        pending=pending,
        nominations=lists,
    )
