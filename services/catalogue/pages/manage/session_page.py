"""The page of one session: its form, and what may be done with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID, uuid4

from starlette.responses import Response

from services.catalogue.pages import form_errors, form_rows, session_form
from services.catalogue.rules.changes import unchangeable
from services.catalogue.rules.consequences import TOLD, TOLD_TO_ENROLLED, SeatConsequences, of_capacity
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import overviews, session_lists, sessions
from services.catalogue.service.commands import SessionChange
from services.catalogue.service.failures import Impossible, Stale
from shared import clock
from shared.web import responses
from shared.web.form_errors import FormErrors, shown_errors
from shared.web.logins import StaffVisit

REPLAY_FIELDS = {
    "title": "replay_title",
    "url": "replay_url",
    "summary": "replay_summary",
    "themes": "replay_theme",
}
"""The fields of the form of a replay, by those of the request."""

_ORDER = (*session_form.ORDER, "copie", "modele", *REPLAY_FIELDS.values())


@dataclass(frozen=True, slots=True)
class TriedChange:
    """A change that reaches people by what it ``changed``, shown first; ``digest`` is that of its form."""

    digest: str
    change: SessionChange
    changed: frozenset[str]

    @property
    def is_told(self) -> bool:
        """Whether all who are in the session get a letter."""
        return bool(TOLD & self.changed)

    @property
    def is_told_to_enrolled(self) -> bool:
        """Whether those who have a seat get a letter."""
        return bool(TOLD_TO_ENROLLED & self.changed)

    def seats(self, listed: ListedSession) -> SeatConsequences | None:
        """What follows for the seats; None where their number stays."""
        if "capacity" not in self.change.model_fields_set:
            return None
        return of_capacity(listed.session.plan, listed.occupancy, self.change.capacity)


async def own(visit: StaffVisit) -> ListedSession:
    """The session of the address. Raises Missing: what belongs to others does not exist."""
    session_id: UUID = visit.request.path_params["session_id"]
    async with visit.database.quiet_transaction() as tx:
        return await session_lists.show_own(tx, session_id, visit.who)


async def page_after(
    visit: StaffVisit,
    listed: ListedSession,
    action: Callable[[], Awaitable[object]],
    done: str,
    *,
    leads_to: str | None = None,
    tried: TriedChange | None = None,
) -> Response:
    """The session's page, or the one of ``leads_to``, after an action; or why not, with what was typed.

    ``done`` names the action for the page that says it was done; what was only ``tried`` is shown instead.
    """
    try:
        await action()
    except Impossible as error:
        return await page(visit, listed, errors=form_errors.of_rules(error.violations))
    except Stale:
        return await page(visit, await own(visit), stale=True)
    if tried is not None:
        return await page(visit, listed, tried=tried)
    return to(listed.session.session_id, done) if leads_to is None else lead(leads_to, done)


async def page(
    visit: StaffVisit,
    listed: ListedSession,
    *,
    errors: FormErrors | None = None,
    stale: bool = False,
    keep: bool = True,
    tried: TriedChange | None = None,
) -> Response:
    """The page of a session. ``keep``: what was typed stays in its form; ``tried``: what follows from it."""
    errors = errors or {}
    stored = session_form.shown(listed.session)
    typed = visit.form if keep else {}
    values = session_form.kept(typed, stored)
    button = typed.get(form_rows.BUTTON, "")
    async with visit.database.quiet_transaction() as tx:
        shown = await overviews.managed_session(tx, listed.session)
    return visit.page(
        "gestion-session.html",
        status=412 if stale else 422 if errors else 200,
        listed=listed,
        values=values,
        rows=form_rows.shown(values, button, blank=1 if "title" in typed else form_rows.BLANK),
        settled={path.replace(".", "-") for path in unchangeable(listed.session, clock.now())},
        sent=visit.form,
        unfolded=session_form.unfolded(values, errors, button),
        **shown_errors(visit.rendering, errors, _ORDER),
        stale=stale,
        typed=any(session_form.is_field(name) for name in typed),
        differing=session_form.differing(values, stored),
        tag=tag(listed) if stale else typed.get("version", tag(listed)),
        done=visit.done,
        tried=tried,
        seats=tried and tried.seats(listed),
        replays=shown.replays,
        themes=shown.themes,
        requirable=shown.requirable,
        template_name=shown.template,
        form_name=uuid4(),
    )


def form_name(visit: StaffVisit) -> UUID:
    """What names a form from its first page on, so that what it makes is made once."""
    try:
        return UUID(visit.form.get("formulaire", ""))
    except ValueError:
        return uuid4()


def tag(listed: ListedSession) -> str:
    """The version of the session that a form shows."""
    return sessions.tag_of(listed.session)


def tags(visit: StaffVisit) -> frozenset[str]:
    """The version that the form that was sent had shown."""
    return frozenset((visit.form.get("version", ""),))


def to(session_id: UUID, done: str) -> Response:
    """Lead to a session's page, which says what was done."""
    return lead(f"/gestion/sessions/{session_id}", done)


def lead(address: str, done: str, **more: str) -> Response:
    """Lead to a page of these, which says what was done."""
    return responses.see_other(f"{address}?{urlencode({**more, 'fait': done})}")
