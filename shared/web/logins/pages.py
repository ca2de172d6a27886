import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared import clock
from shared.auth import ID, Principal, Tokens
from shared.database import Database
from shared.guard import Guard, LimitMet
from shared.permissions import Permission
from shared.read_log import Reading
from shared.security_log import SecurityEvent
from shared.web.forms import MAX_FIELDS, Form, is_in_parts, read_form
from shared.web.logins import late_forms, store
from shared.web.logins.by_issuer import IssuerPages, of_issuer
from shared.web.logins.ending import ending_of
from shared.web.logins.handing import HandedLogins
from shared.web.logins.keeping import KeptLogins, OpenLogin
from shared.web.logins.late_forms import LateForm
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import EndedLogins, LoginRow, digest_of
from shared.web.rendering import Endpoint, Rendering
from shared.web.responses import PRIVATE, see_other

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


class LogInTooWeak(Exception):
    """The visitor is asked to log in again, and comes back."""

    def __init__(self, permission: Permission) -> None:
        super().__init__(permission.name)
        self.permission = permission


@dataclass(frozen=True, slots=True)
class NeededProof:
    """``has_none``: the person has just logged in at the issuer, which says of no second factor."""

    is_recent: bool
    second_factor: bool
    has_none: bool


@dataclass(frozen=True, slots=True)
class StaffVisit:
    request: Request
    area: StaffArea
    who: Principal
    login: LoginRow
    is_enough_for: Callable[[Permission], bool]
    form: Form
    database: Database
    rendering: Rendering

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        return self.rendering.page(
            template,
            status=status,
            path=self.request.url.path,
            staff_area=self.area,
            who=self.who,
            form_key=self.login.form_key,
            log_in_ending=ending_of(self.login.expires_at, clock.now()),
            **values,
        )

    @property
    def done(self) -> str | None:
        return None if self.form else self.request.query_params.get("fait")

    @property
    def owner_mark(self) -> str:
        """The mark is the same in all log-ins of the visitor. A page may show it."""
        return store.digest_of("mark", self.login.owner)[:ID]

    @property
    def reading(self) -> Reading | None:
        purpose = self.login.purpose
        if purpose is None:
            return None
        return Reading(self.who.name, self.who.role, purpose, is_of_search=True)

    def require(self, permission: Permission) -> None:
        """Raise :class:`LogInTooWeak` unless the log-in is as strong as the permission asks."""
        if not self.is_enough_for(permission):
            raise LogInTooWeak(permission)

    async def read_for(self, purpose: str) -> Reading:
        """The purpose stays until the visitor logs out or searches again."""
        if purpose != self.login.purpose:
            async with self.database.quiet_transaction() as tx:
                await store.state_purpose(tx, self.login.digest, purpose)
        return Reading(self.who.name, self.who.role, purpose)


ALL = "toutes"

_NO_FORM = LateForm()
VisitHandler = Callable[[StaffVisit], Awaitable[Response]]


class Logins:
    def __init__(
        self,
        area: StaffArea,
        database: Database,
        tokens: Tokens,
        guard: Guard,
        *,
        address: str,
        rendering: Rendering,
        providers: "Sequence[Provider]" = (),
    ) -> None:
        self._area = area
        self._database = database
        self._address = address
        self._rendering = rendering
        self._providers = providers
        self._guard = guard
        self._kept = KeptLogins(area, database, tokens, guard, address=address, providers=providers)
        self._handed = HandedLogins(area, self._kept, guard, rendering)

    def routes(self) -> list[Route]:
        area = self._area
        routes = [
            Route(
                area.log_in, self._rendering.guarded(self.log_in, Permission.LOG_IN), methods=["GET", "POST"]
            ),
            Route(area.log_out, self.guarded(self.log_out, checks_strength=False), methods=["POST"]),
            Route(
                area.own_logins, self.guarded(self.own_logins, checks_strength=False), methods=["GET", "POST"]
            ),
            Route(area.stay, self.guarded(self.stay, checks_strength=False)),
            Route(area.passage, self._rendering.guarded(self._handed.pass_on, Permission.LOG_IN)),
        ]
        for provider in self._providers:
            pages = IssuerPages(
                area,
                self._kept,
                provider,
                self._guard,
                self._database,
                address=self._address,
                rendering=self._rendering,
            )
            routes += pages.routes()
        return routes

    def guarded(
        self,
        handler: VisitHandler,
        permission: Permission | None = None,
        *,
        with_file: bool = False,
        checks_strength: bool = True,
    ) -> Endpoint:
        """Without a log-in, or with one that is too weak, lead the visitor to it.

        A form of another site gets a 403. ``permission`` is by default that of the area. Without
        ``checks_strength`` a log-in of any strength is enough.
        """
        needed = permission or self._area.permission

        async def answer(request: Request) -> Response:
            login = await self._kept.of(request)
            if login is None:
                return await self._lead_to_log_in(request)
            request.state.who = login.who.in_security_log
            if not login.who.may(needed):
                raise HTTPException(403)
            form = Form()
            if request.method == "POST":
                form = await read_form(request, self._address, with_file=with_file)
                if not secrets.compare_digest(form.get("cle", "").encode(), login.row.form_key.encode()):
                    raise HTTPException(403)
            visit = self._visit(request, login, form)
            try:
                if checks_strength:
                    visit.require(needed)
                return await handler(visit)
            except LogInTooWeak as weak:
                return self._ask_for_proof(visit, weak.permission)

        return self._rendering.guarded(answer, needed)

    def _visit(self, request: Request, login: OpenLogin, form: Form) -> StaffVisit:
        enough = partial(self._kept.is_enough_for, login)
        return StaffVisit(
            request, self._area, login.who, login.row, enough, form, self._database, self._rendering
        )

    async def log_in(self, request: Request) -> Response:
        if request.method != "POST":
            return await self._take_over(request, request.query_params.get("vers", ""))
        form = await read_form(request, self._address, most=MAX_FIELDS + late_forms.MORE_FIELDS)
        late_form, towards = late_forms.brought(self._area, form), form.get("vers", "")
        try:
            return await self._log_in(request, form.typed("jeton"), late_form, towards)
        except LimitMet as limit:
            page = self._page(request, towards=towards, late_form=late_form, too_many=True, status=429)
            page.headers["Retry-After"] = str(limit.seconds)
            return page

    async def _take_over(self, request: Request, towards: str) -> Response:
        secret = await self._handed.accept(request)
        if secret is None:
            return self._page(request, towards=towards)
        response = see_other(self._area.leads_to(towards))
        self._kept.give_cookie(response, secret)
        return response

    async def _log_in(self, request: Request, token: str, late_form: LateForm, towards: str) -> Response:
        if late_form.fields and not token:  # the visitor has logged in in another tab
            login = await self._kept.of(request)
            if login is None:
                return self._page(request, towards=towards, late_form=late_form, late=True, status=403)
            return self._once_more(request, login, late_form, towards)
        owner = digest_of(token)
        who = self._kept.owner_of_token(owner)
        if who is None:
            await self._guard.refuse(request, SecurityEvent.LOG_IN)
            return self._page(request, towards=towards, late_form=late_form, wrong=True, status=403)
        row, secret = await self._kept.open_by_token(request, owner)
        if late_form.fields:
            response = self._once_more(request, OpenLogin(row, who, secret), late_form, towards)
        else:
            response = see_other(self._area.leads_to(towards))
        self._kept.give_cookie(response, secret)
        return response

    def _once_more(self, request: Request, login: OpenLogin, late_form: LateForm, towards: str) -> Response:
        visit = self._visit(request, login, Form())
        return visit.page("late-form.html", late_form=late_form, towards=self._area.leads_to(towards))

    async def log_out(self, visit: StaffVisit) -> Response:
        return await self._log_out(visit, visit.login.opened_at)

    async def _log_out(self, visit: StaffVisit, opened_at: datetime | None) -> Response:
        """End the log-in here first, because the issuer or another service may not answer.

        The browser forgets all areas at once. ``opened_at`` None: all other log-ins of the person end too.
        """
        cookies = self._handed.cookies_in(visit.request)
        ended = EndedLogins(visit.login.owner, opened_at, digests=list(cookies.values()))
        await self._handed.end(visit.request, ended)
        at_issuer = await self._at_issuer(visit)
        onward = at_issuer or f"{self._address}{self._area.log_in}"
        if at_issuer is None or opened_at is None or len(cookies) > 1:
            onward = self._handed.way_out(ended, onward, by_issuer=at_issuer is not None)
        response = self._lead_on(onward, by_issuer=at_issuer is not None)
        for area in cookies:
            self._kept.take_cookie_back(response, area)
        return response

    async def own_logins(self, visit: StaffVisit) -> Response:
        if visit.request.method == "POST":
            return await self._end_own(visit, visit.form.typed("fin"))
        return visit.page(
            "own-logins.html",
            logins=await self._kept.same_owner(visit.login),
            this=visit.login.digest,
            done=visit.done is not None,
        )

    async def stay(self, _visit: StaffVisit) -> Response:
        return Response(status_code=204, headers=PRIVATE)

    async def _end_own(self, visit: StaffVisit, which: str) -> Response:
        rows = [] if which == ALL else await self._kept.same_owner(visit.login)
        chosen = [row for row in rows if row.digest == which]
        if visit.login.opened_at in {row.opened_at for row in chosen}:
            return await self.log_out(visit)
        visit.require(Permission.END_LOG_INS)
        if which == ALL:
            return await self._log_out(visit, None)
        done = f"{self._area.own_logins}?fait=terminee"
        for row in chosen:
            ended = EndedLogins.with_row(row)
            await self._handed.end(visit.request, ended)
            return self._lead_on(self._handed.way_out(ended, f"{self._address}{done}"))
        return see_other(done)

    async def _at_issuer(self, visit: StaffVisit) -> str | None:
        """Return where the issuer ends the log-in, or None if there is no issuer or it does not say."""
        provider = self._kept.provider_of(visit.login)
        if provider is None:
            return None
        return await provider.log_out_address(
            visit.login.sealed_tokens,
            self._kept.secret_in(visit.request),
            return_to=f"{self._address}{self._area.log_in}",
        )

    def _lead_on(self, onward: str, *, by_issuer: bool = False) -> Response:
        """``form-action`` forbids a redirect to another site, so a page leads there."""
        return self._rendering.page(
            "log-out-onward.html", path="", area=self._area, onward=onward, by_issuer=by_issuer
        )

    async def _lead_to_log_in(self, request: Request) -> Response:
        """Leave a file unread: it cannot be sent late, and anybody may send one."""
        towards = self._towards(request)
        if request.method != "POST":
            return see_other(self._handed.way_in(request, towards))
        form = Form() if is_in_parts(request) else await read_form(request, self._address)
        late_form = late_forms.sent(request, self._area, form)
        return self._page(request, towards=towards, late_form=late_form, late=True, status=403)

    def _ask_for_proof(self, visit: StaffVisit, permission: Permission) -> Response:
        """Keep a form as :meth:`_lead_to_log_in` does."""
        request, login = visit.request, visit.login
        is_form = request.method == "POST"
        by_issuer = login.granted_by is not None
        return self._page(
            request,
            towards=self._towards(request),
            late_form=late_forms.sent(request, self._area, visit.form) if is_form else _NO_FORM,
            proof=NeededProof(
                is_recent=permission.is_recent,
                second_factor=permission.needs_second_factor(visit.who.role),
                has_none=by_issuer and self._kept.is_recent(login) and not login.has_second_factor,
            ),
            status=403,
        )

    def _towards(self, request: Request) -> str:
        """Return the page to come back to. Some forms are sent to an address that cannot be visited."""
        path = request.url.path
        if request.method != "POST":
            path = path if path != self._area.stay else self._area.home
            return f"{path}?{request.url.query}" if request.url.query else path
        for end in (*self._area.only_posted, "/deconnexion"):
            path = path.removesuffix(end)
        return path

    def _page(
        self,
        request: Request,
        *,
        towards: str = "",
        late_form: LateForm = _NO_FORM,
        wrong: bool = False,
        late: bool = False,
        proof: NeededProof | None = None,
        too_many: bool = False,
        status: int = 200,
    ) -> Response:
        return self._rendering.page(
            "log-in.html",
            status=status,
            path=request.url.path,
            area=self._area,
            issuers=[
                (of_issuer(self._area.begin, issuer), issuer.client.label) for issuer in self._providers
            ],
            towards=towards,
            late_form=late_form,
            wrong=wrong,
            late=late,
            proof=proof,
            too_many=too_many,
        )
