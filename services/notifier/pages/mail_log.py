"""The mail log, for support staff: what was sent to an agent, what became of it, and once more on purpose.

A token is exchanged for a random cookie; what that stands for is in the database, until the login ends. A
token that is no longer in ``API_TOKENS_FILE`` opens nothing any more. What is searched for travels in the
body of a POST, so that no identifier of a person ends in the log of a proxy. A letter that is shown has links
that open nothing: staff must not answer an offer in somebody's name.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from fastapi import FastAPI
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.notifier.letters import KINDS, Template
from services.notifier.render import Renderer
from services.notifier.service import logins
from services.notifier.service import mails as queue
from services.notifier.tables import MailRow, MailState
from shared.auth import Principal, Role, Tokens
from shared.database import Database
from shared.events.vocabulary import AgentId
from shared.http import is_from_here
from shared.pages import PRIVATE, Endpoint, Rendering
from shared.web import french

LOG = "/courriels/suivi"
COOKIE = "parcours-courriels"
PAGE = 50
_AGENT: TypeAdapter[str] = TypeAdapter(AgentId)

STATES: dict[MailState, str] = {
    MailState.PENDING: "en attente",
    MailState.CLAIMED: "en cours d’envoi",
    MailState.DATA_STARTED: "en cours d’envoi",
    MailState.SENT: "remis au serveur de courrier",
    MailState.RETRY: "à réessayer",
    MailState.FAILED: "échec",
    MailState.AMBIGUOUS: "incertain\u00a0: peut-être parti",
    MailState.SUPERSEDED: "sans objet, non envoyé",
}

_ACTIONS = {
    queue.SENT_AGAIN_AS: "envoyé de nouveau, sous le numéro",
    queue.SENT_AGAIN_AFTER: "envoyé à la demande, après le courriel",
    queue.RESOLVED_AS_SENT: "déclaré arrivé",
    queue.RESENT: "remis en file d’envoi",
}


def add_to(
    api: FastAPI,
    database: Database,
    rendering: Rendering,
    *,
    tokens: Tokens,
    renderer: Renderer,
    public_url: str,
) -> None:
    """Serve the pages beside the API.

    ``renderer`` writes letters whose links open nothing; ``public_url`` is where the public, and so a form,
    finds this service.
    """
    pages = _Pages(database, tokens, renderer, rendering, public_url)
    routes: tuple[tuple[str, Endpoint, list[str]], ...] = (
        (LOG, pages.search, ["GET", "POST"]),
        (f"{LOG}/connexion", pages.come_in, ["GET", "POST"]),
        (f"{LOG}/deconnexion", pages.go_out, ["POST"]),
        (f"{LOG}/{{mail_id:uuid}}", pages.one, ["GET", "POST"]),
        (f"{LOG}/{{mail_id:uuid}}/lettre", pages.letter, ["GET"]),
    )
    for path, endpoint, methods in routes:
        served = _saying_where_from(rendering.guarded(endpoint))
        api.router.routes.append(Route(path, served, methods=methods))


def _saying_where_from(endpoint: Endpoint) -> Endpoint:
    """Let browsers tell us of a form that it came from here.

    Under ``no-referrer``, which pages behind links need, they say "Origin: null" of every form (Fetch, 3.2):
    nobody could come in. Addresses of the log open nothing by themselves.
    """

    async def served(request: Request) -> Response:
        response = await endpoint(request)
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return served


@dataclass(frozen=True, slots=True)
class _Visit:
    """Somebody who came in. ``key`` must come back with every form that they send."""

    who: Principal
    key: str


@dataclass(frozen=True, slots=True)
class _Pages:
    database: Database
    tokens: Tokens
    renderer: Renderer
    rendering: Rendering
    public_url: str

    # ------------------------------------------------------------------------------------ coming in

    async def come_in(self, request: Request) -> Response:
        """A token for a cookie."""
        if request.method != "POST":
            return self.rendering.page("log-in.html", wrong=False, action=f"{LOG}/connexion")
        async with request.form(max_files=0, max_fields=5) as sent:
            token = _text(sent, "jeton")
        who = self.tokens.owner_of(token)
        if who is None or not _may(who) or not is_from_here(request.headers, self.public_url):
            return self.rendering.page("log-in.html", status=403, wrong=True, action=f"{LOG}/connexion")
        async with self.database.quiet_transaction() as tx:
            secret = await logins.begin(tx, token)
        response = RedirectResponse(LOG, 303, headers=dict(PRIVATE))
        response.set_cookie(
            COOKIE,
            secret,
            max_age=int(logins.LASTS.total_seconds()),
            path=LOG,
            secure=self.public_url.startswith("https://"),
            httponly=True,
            samesite="strict",
        )
        return response

    async def go_out(self, request: Request) -> Response:
        """The login ends here, not only in the browser."""
        visit = await self._visit(request)
        async with request.form(max_files=0, max_fields=5) as sent:
            if visit is None or not self._ours(visit, sent, request):
                return _to_the_door()
        async with self.database.quiet_transaction() as tx:
            await logins.end(tx, request.cookies[COOKIE])
        response = _to_the_door()
        response.delete_cookie(COOKIE, path=LOG, httponly=True, samesite="strict")
        return response

    async def _visit(self, request: Request) -> _Visit | None:
        async with self.database.quiet_transaction() as tx:
            login = await logins.find(tx, request.cookies.get(COOKIE, ""))
        who = self.tokens.owner_of_digest(login.token_digest) if login is not None else None
        return _Visit(who, login.form_key) if login is not None and who is not None and _may(who) else None

    def _ours(self, visit: _Visit, sent: FormData, request: Request) -> bool:
        """Whether a form came from a page that this browser was given."""
        return is_from_here(request.headers, self.public_url) and hmac.compare_digest(
            _text(sent, "cle").encode(), visit.key.encode()
        )

    # ------------------------------------------------------------------------------------ the log

    async def search(self, request: Request) -> Response:
        """Mails of an agent, or those in a state, newest first."""
        visit = await self._visit(request)
        if visit is None:
            return _to_the_door()
        agent, state, wrong, before = "", None, None, None
        if request.method == "POST":
            async with request.form(max_files=0, max_fields=10) as sent:
                if not self._ours(visit, sent, request):
                    return _to_the_door()
                agent, state, before = _text(sent, "agent"), _state(_text(sent, "etat")), _before(sent)
            try:
                if agent:
                    _AGENT.validate_python(agent)
            except ValidationError:
                wrong = "Un identifiant d’agent n’a ni espace ni accent, par exemple IEL-0048151."
        found: list[MailRow] = []
        if wrong is None:
            async with self.database.quiet_transaction() as tx:
                found = await queue.find(
                    tx, agent_id=agent or None, state=state, before=before, limit=PAGE + 1
                )
        last = found[PAGE - 1] if len(found) > PAGE else None
        return self.rendering.page(
            "mail-log.html",
            status=422 if wrong else 200,
            visit=visit,
            agent=agent,
            state=state.value if state else "",
            wrong=wrong,
            states=STATES,
            mails=[_shown(row) for row in found[:PAGE]],
            before=f"{last.created_at.isoformat()} {last.mail_id}" if last is not None else None,
            log=LOG,
        )

    async def one(self, request: Request) -> Response:
        """One mail, whole; on POST it is decided about."""
        visit = await self._visit(request)
        if visit is None:
            return _to_the_door()
        mail_id: UUID = request.path_params["mail_id"]
        if request.method == "POST":
            async with request.form(max_files=0, max_fields=5) as sent:
                if not self._ours(visit, sent, request):
                    return _to_the_door()
                seen = _text(sent, "vues")
                after = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 6 else 0
                return await self._decide(mail_id, _text(sent, "decision"), after, visit.who.name)
        async with self.database.quiet_transaction() as tx:
            found = await queue.show(tx, mail_id)
        if found is None:
            return self.rendering.page("no-mail.html", status=404, log=LOG)
        letter, context = found.letter, found.context
        return self.rendering.page(
            "one-mail.html",
            visit=visit,
            mail=_shown(found.row),
            to=f"{letter.given_name} {letter.family_name}".strip(),
            text="" if context is None else self.renderer.text(letter, context),
            can_be_sent_again=found.row.state in queue.ENDED,
            audit=[(_moment(line.at), line.actor, _in_french(line.action)) for line in found.audit_log],
            log=LOG,
        )

    async def _decide(self, mail_id: UUID, decision: str, after: int, actor: str) -> Response:
        """Do what was decided by somebody who had seen ``after`` decisions before."""
        to = mail_id
        async with self.database.transaction() as tx:
            match decision:
                case "renvoyer":
                    to = await queue.resend(tx, mail_id, actor=actor, after=after) or mail_id
                case "arrive":
                    await queue.resolve(tx, mail_id, sent=True, actor=actor)
                case _:
                    pass
        return RedirectResponse(f"{LOG}/{to}", 303, headers=dict(PRIVATE))

    async def letter(self, request: Request) -> Response:
        """The letter as HTML, as it would be written now, unable to do anything."""
        if await self._visit(request) is None:
            return _to_the_door()
        async with self.database.quiet_transaction() as tx:
            found = await queue.show(tx, request.path_params["mail_id"])
        if found is None or found.context is None:
            return self.rendering.page("no-mail.html", status=404, log=LOG)
        page = self.renderer.page(found.letter, found.context)
        policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; form-action 'none'"
        return HTMLResponse(page, headers={**PRIVATE, "Content-Security-Policy": policy})


def _may(who: Principal) -> bool:
    return who.role in (Role.SUPPORT, Role.ADMIN)


def _to_the_door() -> Response:
    return RedirectResponse(f"{LOG}/connexion", 303, headers=dict(PRIVATE))


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name)
    return value.strip() if isinstance(value, str) else ""


def _state(value: str) -> MailState | None:
    return MailState(value) if value in set(MailState) else None


def _before(sent: FormData) -> tuple[datetime, UUID] | None:
    moment, _, mail_id = _text(sent, "avant").partition(" ")
    try:
        return (datetime.fromisoformat(moment).astimezone(UTC), UUID(mail_id)) if moment else None
    except (ValueError, OverflowError):
        return None


def _moment(moment: datetime) -> str:
    return french.moment(moment.replace(second=0, microsecond=0), "Europe/Paris")


def _in_french(action: str) -> str:
    """A line of the audit; what has no words here is shown as it is."""
    for words, french_words in _ACTIONS.items():
        if action.startswith(words):
            return f"{french_words}{action[len(words) :]}"
    return action


def _letter_name(template: str) -> str:
    return KINDS[Template(template)].subject.removesuffix(" : {title}")


def _shown(row: MailRow) -> dict[str, object]:
    answer = " ".join(str(part) for part in (row.smtp_code, row.smtp_answer) if part)
    if row.bounced_at is not None:
        answer = f"{answer} ; revenu, {row.bounce_status or 'sans code'}"
    return {
        "id": row.mail_id,
        "letter": _letter_name(row.template),
        "agent": row.recipient,
        "address": row.address,
        "state": STATES[MailState(row.state)] if row.bounced_at is None else "revenu sans être arrivé",
        "ambiguous": row.state == MailState.AMBIGUOUS,
        "created": _moment(row.created_at),
        "due": _moment(row.due_at),
        "settled": _moment(row.settled_at) if row.settled_at is not None else None,
        "attempts": row.attempts,
        "answer": answer,
        "message_id": row.message_id,
        "cause": row.event_id,
    }
