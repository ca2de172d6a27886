"""A draft published, or several: what follows is said first, for it is final."""

from dataclasses import dataclass
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.catalogue.pages import form_errors
from services.catalogue.pages.manage import session_page
from services.catalogue.rules.series import MOST
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import session_lists, sessions
from services.catalogue.service.failures import Impossible, Missing, Stale
from shared.events.vocabulary import Status
from shared.web.form_errors import FormError, sentence
from shared.web.logins import StaffVisit


@dataclass(frozen=True, slots=True)
class ChosenDraft:
    """A draft that was chosen, with its version, and all that stands in the way of its publication."""

    listed: ListedSession
    tag: str
    why_not: tuple[str, ...] = ()


async def publish(visit: StaffVisit) -> Response:
    """Say what follows and ask for confirmation, then publish a draft."""
    listed = await session_page.own(visit)
    session_id = listed.session.session_id
    if visit.request.method == "POST":

        async def action() -> None:
            async with visit.database.transaction() as tx:
                await sessions.publish(tx, visit.who, session_id, tags=session_page.tags(visit))

        return await session_page.page_after(visit, listed, action, "publiee")
    try:
        async with visit.database.transaction() as tx:
            listed = await sessions.publish(tx, visit.who, session_id, tags=None, dry_run=True)
    except Impossible as error:
        return await session_page.page(visit, listed, errors=form_errors.of_rules(error.violations))
    return visit.page("gestion-publier.html", listed=listed, tag=session_page.tag(listed))


async def publish_chosen(visit: StaffVisit) -> Response:
    """Say what would follow for the drafts that were chosen; once confirmed, what became of each."""
    done = visit.request.method == "POST"
    sent = visit.form.every("choisi") if done else visit.request.query_params.getlist("choisi")
    try:
        chosen = list(dict.fromkeys(UUID(typed) for typed in sent[:MOST]))
    except ValueError:
        raise HTTPException(400) from None
    found = [await _published(visit, session_id, dry_run=not done) for session_id in chosen]
    drafts = [draft for draft in found if draft is not None]
    return visit.page(
        "gestion-publier-plusieurs.html",
        possible=[draft for draft in drafts if not draft.why_not],
        impossible=[draft for draft in drafts if draft.why_not],
        gone=len(found) - len(drafts),
        done=done,
    )


async def _published(visit: StaffVisit, session_id: UUID, *, dry_run: bool) -> ChosenDraft | None:
    """Publish the draft in a transaction of its own, or only try. None: they have no such session.

    Sent twice, a form says twice that it is published, at the same moment too.
    """
    tags = None if dry_run else frozenset((visit.form.get(f"version-{session_id}", ""),))
    errors: list[FormError] = []
    try:
        async with visit.database.transaction() as tx:
            listed = await sessions.publish(tx, visit.who, session_id, tags=tags, dry_run=dry_run)
    except Missing:
        return None
    except (Impossible, Stale) as error:
        async with visit.database.quiet_transaction() as tx:
            listed = await session_lists.show_own(tx, session_id, visit.who)
        if dry_run or listed.session.status is not Status.PUBLISHED:
            errors = _errors(error)
    why_not = tuple(sentence(visit.rendering, error) for error in errors)
    return ChosenDraft(listed, session_page.tag(listed), why_not)


def _errors(error: Impossible | Stale) -> list[FormError]:
    if isinstance(error, Stale):
        return [FormError("session_has_changed")]
    return list(form_errors.of_rules(error.violations).values())
