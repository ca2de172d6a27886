from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from starlette.responses import Response

from services.catalogue.pages import form_rows, session_form
from services.catalogue.pages.manage.frame import FormState, lead, looking
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
    digest: str
    change: SessionChange
    changed: frozenset[str]

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
    typed, tried = visit.form, state.tried
    values = session_form.kept(typed, stored)
    button = typed.get(form_rows.BUTTON, "")
    planned = listed.session
    if tried:
        planned = replace(planned, plan=tried.change.apply_to(planned.plan))
    async with looking(visit) as organiser:
        beside = await overviews.managed_session(organiser.tx, listed.session)
        warnings = await overviews.warnings_of(organiser.tx, planned)
    return visit.page(
        "gestion-session.html",
        listed=listed,
        values=values,
        rows=form_rows.shown(values, button, blank=1 if "title" in typed else form_rows.BLANK),
        settled={path.replace(".", "-") for path in unchangeable(listed.session, clock.now())},
        sent=typed,
        unfolded=session_form.unfolded(values, state.errors, button),
        typed=any(session_form.is_field(name) for name in typed),
        differing=session_form.differing(values, stored),
        tried=tried,
        warnings=warnings,
        seats=tried and tried.seats(listed),
        replays=beside.replays,
        themes=beside.themes,
        requirable=beside.requirable,
        template_name=beside.template,
        form_name=uuid4(),
        **state.shown(visit, tag(listed), _ORDER),
    )


def form_name(form: Mapping[str, str]) -> UUID:
    """Return the form's id, so that a form sent twice creates one session."""
    try:
        return UUID(form.get("formulaire", ""))
    except ValueError:
        return uuid4()


def tag(listed: ListedSession) -> str:
    return sessions.tag_of(listed.session)


def to(session_id: UUID, done: str) -> str:
    return lead(f"/gestion/sessions/{session_id}", done)
