from dataclasses import dataclass, replace
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from services.catalogue.pages import form_errors
from services.catalogue.pages.manage import session_page
from services.catalogue.pages.manage.frame import FormPage, FormState, looking
from services.catalogue.rules.date_warnings import DateWarnings
from services.catalogue.rules.series import MOST
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import overviews, session_lists, sessions
from services.catalogue.service.acting import Acting
from services.catalogue.service.failures import Impossible, Missing, Stale
from shared.events.vocabulary import Status
from shared.web.form_errors import FormError, sentence
from shared.web.forms import Form
from shared.web.logins import StaffVisit


@dataclass(frozen=True, slots=True)
class ChosenDraft:
    listed: ListedSession
    tag: str
    warnings: DateWarnings
    why_not: tuple[str, ...] = ()


async def _publish(acting: Acting, listed: ListedSession, _form: Form) -> str:
    await sessions.publish(acting, listed.session.session_id)
    return session_page.to(listed.session.session_id, "publiee")


async def _ask_to_publish(visit: StaffVisit, listed: ListedSession, state: FormState) -> Response:
    if state == FormState():
        try:
            async with looking(visit) as organiser:
                listed = await sessions.publish(organiser, listed.session.session_id, dry_run=True)
        except Impossible as error:
            state = FormState(form_errors.of_rules(error.violations))
    if state != FormState():
        return await session_page.show(visit, listed, state)
    async with looking(visit) as organiser:
        beside = await overviews.publication(organiser.tx, listed.session)
    published = replace(listed.session, status=Status.PUBLISHED)
    return visit.page(
        "gestion-publier.html",
        listed=replace(listed, session=published),
        offer=beside.offer,
        themes=beside.themes,
        replays=(),
        warnings=beside.warnings,
        tag=session_page.tag(listed),
    )


publish = FormPage(session_page.own, _publish, _ask_to_publish)


async def publish_chosen(visit: StaffVisit) -> Response:
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
    """Return None if the session does not exist.

    If the form is sent twice, even at the same moment, both responses say that the draft is published.
    """
    seen = None if dry_run else frozenset((visit.form.get(f"version-{session_id}", ""),))
    errors: list[FormError] = []
    try:
        async with visit.database.transaction() as tx:
            listed = await sessions.publish(Acting(tx, visit.who, seen), session_id, dry_run=dry_run)
    except Missing:
        return None
    except (Impossible, Stale) as error:
        async with looking(visit) as organiser:
            listed = await session_lists.show_own(organiser, session_id)
        if dry_run or listed.session.status is not Status.PUBLISHED:
            errors = _errors(error)
    async with looking(visit) as organiser:
        warnings = await overviews.warnings_of(organiser.tx, listed.session)
    why_not = tuple(sentence(visit.rendering, error) for error in errors)
    return ChosenDraft(listed, session_page.tag(listed), warnings, why_not)


def _errors(error: Impossible | Stale) -> list[FormError]:
    if isinstance(error, Stale):
        return [FormError("session_has_changed")]
    return list(form_errors.of_rules(error.violations).values())
