"""The page of one session: its form, what may be done with it, and its history."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from services.catalogue.pages import complaints, forms, rows
from services.catalogue.rules.changes import unchangeable
from services.catalogue.rules.sessions import ListedSession
from services.catalogue.service import offers, resources, sessions
from services.catalogue.service.failures import Impossible, Stale
from shared import clock
from shared.web import responses
from shared.web.forms import in_order
from shared.web.logins import Visit

HISTORY = 10
"""Changes that a session's page shows."""

REPLAY_FIELDS = {
    "title": "replay_title",
    "url": "replay_url",
    "summary": "replay_summary",
    "themes": "replay_theme",
}
"""The fields of the form of a replay, by those of the request."""

DONE = {
    "creee": "Le brouillon est enregistré. Personne n’en est informé tant qu’il n’est pas publié.",
    "copiee": "La copie est enregistrée comme brouillon.",
    "modifiee": "La session est modifiée.",
    "publiee": "La session est publiée.",
    "annulee": "La session est annulée\u00a0: les personnes inscrites sont prévenues.",
    "supprimee": "Le brouillon est supprimé.",
    "replay": "Le replay est en ligne.",
    "corrigee": "La ressource est corrigée. Personne n’est prévenu de nouveau.",
}
"""What a page says first, by what was just done."""


async def own(visit: Visit) -> ListedSession:
    """The session of the address. Raises Missing: what belongs to others does not exist."""
    session_id: UUID = visit.request.path_params["session_id"]
    async with visit.database.quiet_transaction() as tx:
        return await sessions.show_own(tx, session_id, visit.who)


async def doing(
    visit: Visit,
    listed: ListedSession,
    do: Callable[[], Awaitable[object]],
    done: str,
    *,
    leads_to: str | None = None,
) -> Response:
    """Do it and show the session, or what ``leads_to`` shows; or show why not, with what was typed."""
    try:
        await do()
    except Impossible as error:
        return await page(visit, listed, said=complaints.of_rules(error))
    except Stale:
        return await page(visit, await own(visit), stale=True)
    return to(listed.session.session_id, done) if leads_to is None else lead(leads_to, done)


async def page(
    visit: Visit,
    listed: ListedSession,
    *,
    said: Mapping[str, str] | None = None,
    stale: bool = False,
    keep: bool = True,
) -> Response:
    """The page of a session. ``keep``: what was typed stays in its form."""
    said = said or {}
    stored = forms.shown(listed.session)
    typed = visit.form if keep else {}
    values = forms.kept(typed, stored)
    async with visit.database.quiet_transaction() as tx:
        lines = await sessions.history(tx, listed.session.session_id, visit.who, None, HISTORY)
        recorded = await resources.of_session(tx, listed.session.session_id)
        themes = await offers.themes(tx)
    return visit.page(
        "gestion-session.html",
        status=412 if stale else 422 if said else 200,
        listed=listed,
        values=values,
        rows=rows.shown(values, typed.get(rows.BUTTON, ""), blank=1 if "title" in typed else rows.BLANK),
        settled={path.replace(".", "-") for path in unchangeable(listed.session, clock.now())},
        sent=visit.form,
        unfolded=forms.unfolded(values, said, typed.get(rows.BUTTON, "")),
        errors=said,
        listed_errors=in_order(said, (*forms.ORDER, "copie", *REPLAY_FIELDS.values())),
        stale=stale,
        typed=any(forms.is_field(name) for name in typed),
        differing=forms.differing(values, stored),
        tag=tag(listed) if stale else typed.get("version", tag(listed)),
        done=done_before(visit),
        history=lines,
        replays=recorded,
        themes=themes,
    )


def tag(listed: ListedSession) -> str:
    """What a form says it has read."""
    return sessions.tag_of(listed.session)


def tags(visit: Visit) -> frozenset[str]:
    """What the form that was sent had read."""
    return frozenset((visit.form.get("version", ""),))


def to(session_id: UUID, done: str) -> Response:
    """Lead to a session's page, which says what was done."""
    return lead(f"/gestion/sessions/{session_id}", done)


def lead(address: str, done: str) -> Response:
    """Lead to a page of these, which says what was done."""
    return responses.see_other(f"{address}?{urlencode({'fait': done})}")


def done_before(visit: Visit) -> str | None:
    """What was just done, if the page was led to by that."""
    return None if visit.form else DONE.get(visit.request.query_params.get("fait", ""))
