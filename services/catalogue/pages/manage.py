"""What a delegation does with its sessions, by forms: draft, change, publish, cancel, copy, replay."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.catalogue.desk import resources as resource_desk
from services.catalogue.desk import sessions as desk
from services.catalogue.desk.failures import (
    Impossible,
    Invalid,
    Missing,
    NotYours,
    PublishedDifferently,
    Stale,
)
from services.catalogue.desk.requests import ReplayRequest, SessionChange, SessionCopy, SessionDraft
from services.catalogue.pages import answers, complaints, filters, forms
from services.catalogue.pages.logins import Visit, guarded
from services.catalogue.store import offers, resources, sessions, trail
from services.catalogue.store.sessions import Listed, Wanted
from shared import clock

PAGE = 30
HISTORY = 10
"""Changes that a session's page shows."""
PARIS = "Europe/Paris"

DONE = {
    "creee": "Le brouillon est enregistré. Personne n’en est informé tant qu’il n’est pas publié.",
    "copiee": "La copie est enregistrée comme brouillon.",
    "modifiee": "La session est modifiée.",
    "publiee": "La session est publiée.",
    "annulee": "La session est annulée : les personnes inscrites sont prévenues.",
    "replay": "Le replay est en ligne.",
}
"""What a page says first, by what was just done."""


def routes() -> list[Route]:
    """The addresses of these pages."""
    one = "/gestion/sessions/{session_id:uuid}"
    return [
        Route("/gestion", guarded(own_sessions)),
        Route("/gestion/sessions/nouvelle", guarded(new_session), methods=["GET", "POST"]),
        Route(one, guarded(one_session), methods=["GET", "POST"]),
        Route(f"{one}/publier", guarded(publish), methods=["POST"]),
        Route(f"{one}/annuler", guarded(cancel), methods=["GET", "POST"]),
        Route(f"{one}/copier", guarded(copy), methods=["POST"]),
        Route(f"{one}/replay", guarded(replay), methods=["POST"]),
    ]


async def own_sessions(visit: Visit) -> Response:
    """The delegation's sessions by start; those that are over where they are asked for."""
    query = visit.request.query_params
    past, now = bool(query.get("passees")), clock.now()
    wanted = Wanted(
        now=now,
        viewer=desk.viewer_of(visit.who),
        own=True,
        text=filters.searched(query.get("recherche", "")) or None,
        ends_after=None if past else now,
    )
    async with visit.database.quiet_transaction() as tx:
        found = await sessions.page(tx, wanted, filters.place(query.get("apres")), PAGE + 1)
    following = None
    if len(found) > PAGE:
        last = found[PAGE - 1].session
        place = filters.place_of(last.plan.starts_at, last.session_id)
        following = {"recherche": wanted.text, "passees": "oui" if past else None, "apres": place}
    return visit.page(
        "gestion.html", sessions=found[:PAGE], following=following, past=past, text=wanted.text or ""
    )


async def new_session(visit: Visit) -> Response:
    """The form of a draft, and what comes of it."""
    async with visit.database.quiet_transaction() as tx:
        every = await offers.page(tx, None, 100)
    said: dict[str, str] = {}
    if visit.request.method == "POST":
        chosen = next((offer for offer in every if offer.offer_id == visit.form.get("offer_id")), None)
        typed = forms.read(visit.form, {}, timezone=chosen.terms.timezone if chosen else PARIS)
        _without_limit(visit.form, typed)
        said = dict(typed.wrong)
        try:
            asked = SessionDraft.model_validate(typed.fields)
        except ValidationError as error:
            said = complaints.of_request(error) | said
        else:
            if not said:
                try:
                    listed = await desk.draft(visit.database, visit.who, asked)
                except (Impossible, Invalid) as error:
                    said = complaints.of_rules(error)
                except NotYours as error:
                    raise HTTPException(403) from error
                else:
                    return _to(listed.session.session_id, "creee")
    values = {name: visit.form.get(name, "") for name in forms.FIELDS | {"illimite"}}
    return visit.page(
        "gestion-nouvelle.html",
        status=422 if said else 200,
        offers=every,
        values=values,
        errors=said,
        elsewhere=complaints.elsewhere(said, forms.FIELDS),
    )


async def one_session(visit: Visit) -> Response:
    """A session with its form, what may be done with it, and its history."""
    listed = await _own(visit)
    if visit.request.method != "POST":
        return await _session_page(visit, listed)
    before = forms.shown(listed.session.plan, listed.presentation)
    typed = forms.read(visit.form, before, timezone=listed.session.plan.timezone)
    if (
        not _without_limit(visit.form, typed)
        and "capacity" in visit.form
        and not visit.form["capacity"].strip()
    ):
        typed.wrong["capacity"] = "Indiquez le nombre de places, ou cochez « Sans limite »."
    said = dict(typed.wrong)
    try:
        asked = SessionChange.model_validate(typed.fields)
    except ValidationError as error:
        return await _session_page(visit, listed, said=complaints.of_request(error) | said)
    if said:
        return await _session_page(visit, listed, said=said)

    async def change() -> Listed:
        return await desk.change(
            visit.database, visit.who, listed.session.session_id, asked, tags=_tags(visit.form)
        )

    return await _doing(visit, listed, change, "modifiee")


async def publish(visit: Visit) -> Response:
    """Publish a draft."""
    listed = await _own(visit)

    async def do() -> Listed:
        tags = _tags(visit.form)
        return await desk.publish(visit.database, visit.who, listed.session.session_id, tags=tags)

    return await _doing(visit, listed, do, "publiee")


async def cancel(visit: Visit) -> Response:
    """Ask whether it is meant, then cancel."""
    listed = await _own(visit)
    if visit.request.method != "POST":
        return visit.page("gestion-annuler.html", listed=listed, tag=_tag(listed))

    async def do() -> Listed:
        tags = _tags(visit.form)
        return await desk.cancel(visit.database, visit.who, listed.session.session_id, tags=tags)

    return await _doing(visit, listed, do, "annulee")


async def copy(visit: Visit) -> Response:
    """A draft like this session, at another time."""
    listed = await _own(visit)
    try:
        starts_at = forms.moment(visit.form.get("copie", ""), listed.session.plan.timezone)
        asked = SessionCopy.model_validate({"starts_at": starts_at})
    except ValueError:
        said = {"copie": complaints.of_field("starts_at")}
        return await _session_page(visit, listed, said=said, keep=False)
    made = await desk.duplicate(visit.database, visit.who, listed.session.session_id, asked)
    return _to(made.session.session_id, "copiee")


_REPLAY_FIELDS = {
    "title": "replay_title",
    "url": "replay_url",
    "summary": "replay_summary",
    "themes": "replay_theme",
}


async def replay(visit: Visit) -> Response:
    """Open the recording of this session to everyone."""
    listed = await _own(visit)
    fields: dict[str, Any] = {
        "session_id": listed.session.session_id,
        "title": visit.form.get("replay_title", "").strip(),
        "url": visit.form.get("replay_url", "").strip(),
        "summary": visit.form.get("replay_summary", "").strip() or None,
    }
    theme = visit.form.get("replay_theme", "").strip()
    if theme:
        fields["themes"] = [theme]
    try:
        await resource_desk.publish(visit.database, visit.who, ReplayRequest.model_validate(fields))
    except ValidationError as error:
        said = complaints.of_request(error)
    except (Impossible, Invalid) as error:
        said = complaints.of_rules(error)
    except PublishedDifferently:
        said = {"url": "Un replay est en ligne à cette adresse, avec un autre titre ou une autre session."}
    else:
        return _to(listed.session.session_id, "replay")
    named = {_REPLAY_FIELDS.get(field, ""): text for field, text in said.items()}
    return await _session_page(visit, listed, said=named, keep=False)


# ------------------------------------------------------------------------------------------- in common


async def _own(visit: Visit) -> Listed:
    session_id: UUID = visit.request.path_params["session_id"]
    async with visit.database.quiet_transaction() as tx:
        listed = await sessions.shown(tx, session_id, desk.viewer_of(visit.who))
    if listed is None or not visit.who.may_act_for(listed.session.organiser):
        raise HTTPException(404)
    return listed


async def _doing(visit: Visit, listed: Listed, do: Callable[[], Awaitable[Listed]], done: str) -> Response:
    """Do it and show the session; or show why not, with what was typed."""
    try:
        await do()
    except (Impossible, Invalid) as error:
        return await _session_page(visit, listed, said=complaints.of_rules(error))
    except Stale:
        return await _session_page(visit, await _own(visit), stale=True)
    except Missing as error:
        raise HTTPException(404) from error
    return _to(listed.session.session_id, done)


async def _session_page(
    visit: Visit,
    listed: Listed,
    *,
    said: Mapping[str, str] | None = None,
    stale: bool = False,
    keep: bool = True,
) -> Response:
    """The page of a session. ``keep``: what was typed stays in its form."""
    said = said or {}
    values = forms.shown(listed.session.plan, listed.presentation)
    values["illimite"] = "oui" if listed.session.plan.capacity is None else ""
    stored = dict(values)
    if keep and visit.form:
        values |= {name: text for name, text in visit.form.items() if name in values}
        values["illimite"] = visit.form.get("illimite", "")
    async with visit.database.quiet_transaction() as tx:
        lines = await trail.of(tx, listed.session.session_id, None, HISTORY)
        recorded = await resources.of_session(tx, listed.session.session_id)
        themes = await offers.themes(tx)
    fields = forms.FIELDS | {"copie", *_REPLAY_FIELDS.values()}
    return visit.page(
        "gestion-session.html",
        status=409 if stale else 422 if said else 200,
        listed=listed,
        values=values,
        sent=visit.form,
        errors=said,
        elsewhere=complaints.elsewhere(said, fields),
        stale=stale,
        differing={name: None for name in values if values[name] != stored[name]},
        tag=_tag(listed),
        done=None if visit.form else DONE.get(visit.request.query_params.get("fait", "")),
        history=lines,
        replays=recorded,
        themes=themes,
    )


def _tag(listed: Listed) -> str:
    return desk.tag_of(listed.session, listed.presentation)


def _tags(form: Mapping[str, str]) -> frozenset[str]:
    return frozenset((form.get("version", ""),))


def _without_limit(form: Mapping[str, str], typed: forms.Typed) -> bool:
    """Whether there is to be no limit of seats; then the number that stands beside it means nothing."""
    if form.get("illimite") != "oui":
        return False
    typed.fields["capacity"] = None
    typed.wrong.pop("capacity", None)
    return True


def _to(session_id: UUID, done: str) -> Response:
    address = f"/gestion/sessions/{session_id}?{urlencode({'fait': done})}"
    return RedirectResponse(address, 303, headers=answers.SECURITY | {"Cache-Control": "no-store"})
