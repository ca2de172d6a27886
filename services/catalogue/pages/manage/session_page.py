from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from starlette.responses import Response

from services.catalogue.pages import form_rows, session_form, session_steps
from services.catalogue.pages.manage.frame import FormState, lead, looking
from services.catalogue.pages.session_steps import FormStep
from services.catalogue.rules.changes import unchangeable
from services.catalogue.rules.consequences import TOLD, TOLD_TO_ENROLLED, SeatConsequences, of_capacity
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import overviews, session_lists, sessions
from services.catalogue.service.commands import SessionChange
from shared import clock
from shared.web.logins import StaffVisit

REPLAY_FIELDS = {
    "title": "replay_title",
    "url": "replay_url",
    "summary": "replay_summary",
    "themes": "replay_theme",
}

_ORDER = (*session_form.ORDER, "copie", "modele", *REPLAY_FIELDS.values())


@dataclass(frozen=True, slots=True)
class TriedChange:
    """``asks``: the change reaches people, so it waits for a confirmation."""

    digest: str
    change: SessionChange
    changed: frozenset[str]
    asks: bool

    @property
    def is_told(self) -> bool:
        return bool(TOLD & self.changed)

    @property
    def is_told_to_enrolled(self) -> bool:
        return bool(TOLD_TO_ENROLLED & self.changed)

    def seats(self, listed: ListedSession) -> SeatConsequences | None:
        if "capacity" not in self.change.model_fields_set:
            return None
        return of_capacity(listed.session.plan, listed.occupancy, self.change.capacity)


async def own(visit: StaffVisit) -> ListedSession:
    async with looking(visit) as organiser:
        return await session_lists.show_own(organiser, visit.request.path_params["session_id"])


async def show(visit: StaffVisit, listed: ListedSession, state: FormState) -> Response:
    stored = session_form.shown(listed.session)
    typed = visit.form
    values = session_form.kept(typed, stored)
    step, state = step_of(visit, values, state)
    tried: TriedChange | None = state.tried
    button = typed.get(form_rows.BUTTON, "")
    planned = listed.session
    if tried:
        planned = replace(planned, plan=tried.change.apply_to(planned.plan))
    async with looking(visit) as organiser:
        beside = await overviews.managed_session(organiser.tx, listed.session)
        warnings = await overviews.warnings_of(organiser.tx, planned)
    settled = {path.replace(".", "-") for path in unchangeable(listed.session, clock.now())}
    if not listed.session.plan.modules and "starts_at" in settled:
        settled.add("modules-0-starts_at")
    is_edited = any(session_form.is_field(name) for name in (*typed, *state.errors))
    return visit.page(
        "gestion-session.html",
        listed=listed,
        planned=planned,
        values=values,
        rows=form_rows.shown(values, button),
        settled=settled,
        sent=typed,
        unfolded=session_form.unfolded(values, state.errors, button),
        typed=any(session_form.is_field(name) for name in typed),
        step=step if is_edited or _asked(visit) else None,
        differing=session_form.differing(values, stored),
        tried=tried if tried and tried.asks else None,
        warnings=warnings,
        seats=tried and tried.seats(listed),
        replays=beside.replays,
        themes=beside.themes,
        requirable=beside.requirable,
        template_name=beside.template,
        form_name=uuid4(),
        **state.shown(visit, tag(listed), _ORDER),
    )


def step_of(visit: StaffVisit, values: Mapping[str, str], state: FormState) -> tuple[FormStep, FormState]:
    """Return the step to show, and the state with the errors of this step."""
    errors = session_form.beside_their_field(state.errors, values)
    step, own = session_steps.shown(visit.form, _asked(visit), errors)
    return step, replace(state, errors=own)


def _asked(visit: StaffVisit) -> FormStep | None:
    return session_steps.named(visit.request.query_params.get(session_steps.PLACE, ""))


def form_name(form: Mapping[str, str]) -> UUID:
    """Return the form's id, so that a form sent twice creates one session."""
    try:
        return UUID(form.get("formulaire", ""))
    except ValueError:
        return uuid4()


def tag(listed: ListedSession) -> str:
    return sessions.tag_of(listed.session)


def publication(session_id: UUID, done: str) -> str:
    return lead(f"/gestion/sessions/{session_id}/publier", done)


def to(session_id: UUID, done: str) -> str:
    return lead(f"/gestion/sessions/{session_id}", done)
