"""One action on several people of a session: chosen in the roster, confirmed, applied one by one.

An enrolment that has changed since the form was shown is skipped.
"""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.enrolment.pages.manage import frame, messages
from services.enrolment.pages.manage import roster as roster_pages
from services.enrolment.pages.manage.person import (
    InvalidForm,
    OrganiserAction,
    approval_in,
    move_in,
    priority_in,
    withdrawal_in,
)
from services.enrolment.rules.bulk import BulkAction, consequences
from services.enrolment.rules.roster_lines import RosterLine
from services.enrolment.service import people, roster
from services.enrolment.service.failures import EnrolmentFailure, NotFound
from services.enrolment.service.people import OpenSession
from shared import clock
from shared.web.form_errors import FormError, FormErrors, sentence
from shared.web.forms import Form
from shared.web.logins import StaffVisit

MOST = 200


def chosen_in(form: Form) -> list[UUID]:
    try:
        return list(dict.fromkeys(UUID(typed) for typed in form.every("choix")[:MOST]))
    except ValueError:
        raise HTTPException(400) from None


_ACTIONS: Mapping[BulkAction, Callable[[Form], OrganiserAction]] = {
    BulkAction.WITHDRAW: withdrawal_in,
    BulkAction.PRIORITISE: priority_in,
    BulkAction.APPROVE: approval_in,
    BulkAction.MOVE: move_in,
}
BulkResults = dict[UUID, FormError | None]
"""The reason for each enrolment why nothing was done. None means that it was done."""


async def show(visit: StaffVisit) -> Response:
    chosen, typed = chosen_in(visit.form), visit.form.typed("action")
    if not chosen:
        return await roster_pages.participants(visit, {"": FormError("nobody_chosen")})
    if typed == "write":
        return await messages.write_to(visit, chosen)
    if typed not in set(BulkAction):
        raise HTTPException(400)
    action = BulkAction(typed)
    if "confirmer" not in visit.form:
        return await _page(visit, chosen, action)
    try:
        results = await _do(visit, chosen, action)
    except InvalidForm as error:  # nothing has been done yet
        return await _page(visit, chosen, action, errors=error.errors)
    return await _page(visit, chosen, action, results=results)


async def _do(visit: StaffVisit, chosen: Sequence[UUID], action: BulkAction) -> BulkResults:
    """Each person gets a separate transaction."""
    act = _ACTIONS[action](visit.form)
    results: BulkResults = {}
    for line in await _lines(visit, chosen):
        enrolment_id = line.enrolment.enrolment_id
        version = frame.version_in(visit.form, f"version-{enrolment_id}")
        results[enrolment_id] = None
        try:
            async with frame.acting(visit) as acting:
                await act(acting, enrolment_id, version=version)
        except NotFound:  # the enrolment is no longer in this session
            results[enrolment_id] = FormError("enrolment_has_changed")
        except EnrolmentFailure as failure:
            results[enrolment_id] = frame.why_not(failure)
    return results


async def _lines(visit: StaffVisit, chosen: Sequence[UUID]) -> list[RosterLine]:
    async with visit.database.quiet_transaction() as tx:
        lines = await roster.chosen(
            tx, frame.session_id_of(visit), visit.who, chosen, reading=frame.reading(visit)
        )
    if lines is None:
        raise HTTPException(404)
    return lines


async def _page(
    visit: StaffVisit,
    chosen: Sequence[UUID],
    action: BulkAction,
    *,
    errors: FormErrors | None = None,
    results: BulkResults | None = None,
) -> Response:
    lines = await _lines(visit, chosen)
    async with visit.database.quiet_transaction() as tx:
        numbers = await frame.own_session(tx, visit)
        follows = consequences(numbers.session, lines, action, numbers.waiting, clock.now())
        there: Sequence[OpenSession] = []
        if action is BulkAction.MOVE:
            agents = [line.enrolment.agent for line in follows.possible]
            there = await people.destinations_of_several(tx, numbers.session, agents, visit.who, clock.now())
    fields = ("by", "reason", "priority", "answer", "heard", "to_session_id")
    return frame.page(
        visit,
        "bulk.html",
        numbers,
        "participants",
        status=422 if errors else 200,
        errors=errors,
        action=action,
        lines=lines,
        follows=follows,
        destinations=there,
        results=None if results is None else _sentences(visit, results),
        search=visit.form.typed("recherche"),
        values={name: visit.form.get(name, "") for name in fields},
    )


def _sentences(visit: StaffVisit, results: BulkResults) -> dict[UUID, str]:
    return {
        enrolment_id: "" if error is None else sentence(visit.rendering, error)
        for enrolment_id, error in results.items()
    }
