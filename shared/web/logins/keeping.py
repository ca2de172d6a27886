import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from shared import clock
from shared.auth import ID, Principal, Tokens
from shared.database import Database
from shared.guard import Guard
from shared.oidc.identities import (
    Identity,
    LogInRejected,
    NoRole,
    ProviderAway,
    RenewalUnfinished,
)
from shared.oidc.settings import Grant
from shared.permissions import RECENT, Permission, Role
from shared.security_log import SecurityEvent, SecurityOutcome
from shared.web.logins import store
from shared.web.logins.browsers import browser_of
from shared.web.logins.cookies import Cookie
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import (
    CONFIRMED_LASTS,
    LASTS,
    RENEWED_AFTER,
    EndedLogins,
    LoginRow,
    digest_of,
)

if TYPE_CHECKING:
    from shared.oidc.provider import Provider


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenLogin:
    row: LoginRow
    who: Principal
    secret: str


class KeptLogins:
    """Without ``providers`` people log in by token alone."""

    def __init__(
        self,
        area: StaffArea,
        database: Database,
        tokens: Tokens,
        guard: Guard,
        *,
        address: str,
        providers: "Sequence[Provider]",
    ) -> None:
        self._area = area
        self._guard = guard
        self._database = database
        self._tokens = tokens
        self._providers = providers
        self._tokens_suffice = not providers or tokens.trial
        self._address = address
        self._cookie = self._cookie_of(area.cookie)

    def _cookie_of(self, area: str) -> Cookie:
        return Cookie.at(self._address, area, self._area.same_site)

    # ------------------------------------------------------------------------------------------- in force

    async def of(self, request: Request) -> OpenLogin | None:
        """Return None also if the token or rule has ended, or the issuer ends the log-in."""
        secret, now = self.secret_in(request), clock.now()
        if not secret:
            return None
        async with self._database.quiet_transaction() as tx:
            row = await store.used(tx, digest_of(secret), now)
        who = None if row is None else self._principal(row)
        if row is None or who is None:
            return None
        login = OpenLogin(row, who, secret)
        return login if row.renew_at is None or now < row.renew_at else await self._renewed(request, login)

    async def _renewed(self, request: Request, login: OpenLogin) -> OpenLogin | None:
        """Ask the issuer whether the person still has a role. Return None if not.

        One request asks. Others go on, and so do all while the issuer is away, until the log-in ends.
        """
        row, provider = login.row, self.provider_of(login.row)
        if provider is None:
            return login
        async with self._database.quiet_transaction() as tx:
            if not await store.claim_renewal(tx, row.digest, clock.now()):
                return login
        try:
            granted = await self._granted_again(provider, login)
        except ProviderAway as error:
            log.warning("A log-in could not be renewed: %s", error)
            if isinstance(error, RenewalUnfinished):
                kept = {"sealed_tokens": provider.sealed(error.tokens, login.secret)}
                async with self._database.quiet_transaction() as tx:
                    await store.renew(tx, row.digest, kept)
            return login
        if granted is None:
            await self.end(row)
            who = login.who.in_security_log
            self._guard.record(request, SecurityEvent.LOG_OUT, SecurityOutcome.OK, who)
            return None
        identity, grant = granted
        now = clock.now()
        changes = {
            **_columns_of(identity, grant),
            "sealed_tokens": provider.sealed(identity.tokens, login.secret),
            "renew_at": now + RENEWED_AFTER,
            "expires_at": min(row.opened_at + LASTS, now + CONFIRMED_LASTS),
        }
        async with self._database.quiet_transaction() as tx:
            if not await store.renew(tx, row.digest, changes):
                return None
        for name, value in changes.items():
            setattr(row, name, value)
        principal = self._principal(row)
        return None if principal is None else OpenLogin(row, principal, login.secret)

    async def _granted_again(self, provider: "Provider", login: OpenLogin) -> tuple[Identity, Grant] | None:
        """Return None if the issuer ended the log-in or gives no role any more."""
        try:
            identity = await provider.renew(login.row.sealed_tokens or "", login.secret)
        except LogInRejected as error:
            log.info("The issuer ended a log-in: %s", error)
            return None
        grant = provider.grant(identity, self._area.permission.roles)
        return None if isinstance(grant, NoRole) else (identity, grant)

    def is_enough_for(self, login: OpenLogin, permission: Permission) -> bool:
        """Return whether the log-in is as strong as the permission asks.

        A token is not a second factor. It is enough where there is nothing stronger: without an issuer, and
        in a trial.
        """
        row = login.row
        by_token = row.granted_by is None
        if by_token and self._tokens_suffice:
            return True
        if permission.needs_second_factor(login.who.role) and not row.has_second_factor:
            return False
        return not permission.is_recent or self.is_recent(row)

    def is_recent(self, row: LoginRow) -> bool:
        proved_at = row.opened_at if row.granted_by is None else row.proved_at
        return proved_at is not None and proved_at > clock.now() - RECENT

    def secret_in(self, request: Request) -> str:
        return self._cookie.read(request)

    def digests_in(self, request: Request, areas: Iterable[str]) -> dict[str, str]:
        """The digests of the cookies of these areas, by area."""
        cookies = {area: self._cookie_of(area).read(request) for area in areas}
        return {area: digest_of(secret) for area, secret in cookies.items() if secret}

    def owner_of_token(self, digest: str) -> Principal | None:
        """Return None if the owner's role may not open these pages."""
        return self._for_these_pages(self._tokens.owner_of_digest(digest))

    def _principal(self, row: LoginRow) -> Principal | None:
        if row.granted_by is None:
            return self.owner_of_token(row.owner)
        if self.provider_of(row) is None:
            return None
        name, role = row.name or "", Role(row.role or "")
        return self._for_these_pages(
            Principal(name=name, role=role, delegation=row.delegation, token_id=row.digest[:ID])
        )

    def provider_of(self, row: LoginRow) -> "Provider | None":
        """Return the issuer of the log-in, unless its rule has gone. A token has none."""
        by = row.granted_by
        return None if by is None else next((p for p in self._providers if p.still_grants(by)), None)

    def _for_these_pages(self, who: Principal | None) -> Principal | None:
        return who if who is not None and who.may(self._area.permission) else None

    # -------------------------------------------------------------------------------------- opened, ended

    async def open_by_token(
        self, request: Request, owner: str, opened_at: datetime | None = None
    ) -> tuple[LoginRow, str]:
        """``owner`` is the digest of the token. ``opened_at`` is when another area was given the token.

        Tickets count apart, so that a copy of a cookie does not lock out the owner of the token.
        """
        what = "log_in" if opened_at is None else "handed_log_in"
        await self._guard.take(request, what, self._guard.rates.log_in, owner)
        secret = secrets.token_urlsafe(32)
        row = _new_row(request, secret, owner=owner)
        if opened_at is not None:
            row.opened_at, row.expires_at = opened_at, opened_at + LASTS
        await self._open(request, row)
        return row, secret

    async def open_by_issuer(
        self, request: Request, provider: "Provider", identity: Identity, grant: Grant
    ) -> str:
        secret = secrets.token_urlsafe(32)
        row = _new_row(request, secret, owner=digest_of(provider.issuer.address, identity.subject))
        for name, value in _columns_of(identity, grant).items():
            setattr(row, name, value)
        row.sealed_tokens = provider.sealed(identity.tokens, secret)
        if identity.session is not None:
            row.issuer_session = digest_of(provider.issuer.address, identity.session)
        row.proved_at, row.has_second_factor = identity.proved_at, identity.has_second_factor
        row.expires_at = row.opened_at + CONFIRMED_LASTS
        if identity.tokens.refresh_token is not None:
            row.renew_at = row.opened_at + RENEWED_AFTER
        await self._open(request, row)
        return secret

    async def _open(self, request: Request, row: LoginRow) -> None:
        """Replace the browser's former log-in, so that its cookie becomes worthless.

        Forms of the same person in other tabs stay valid.
        """
        former = await self.of(request)
        if former is not None and former.row.owner == row.owner:
            row.form_key = former.row.form_key
        async with self._database.quiet_transaction() as tx:
            if former is not None:
                await store.forget(tx, former.row.digest)
            await store.remember(tx, row)
        if (who := self._principal(row)) is not None:
            self._guard.record(request, SecurityEvent.LOG_IN, SecurityOutcome.OK, who.in_security_log)

    async def end(self, login: LoginRow) -> None:
        async with self._database.quiet_transaction() as tx:
            await store.forget(tx, login.digest)

    def give_cookie(self, response: Response, secret: str) -> None:
        self._cookie.give(response, secret, LASTS)

    def take_cookie_back(self, response: Response, area: str) -> None:
        self._cookie_of(area).take_back(response)

    async def same_owner(self, login: LoginRow) -> list[LoginRow]:
        """A log-in that was handed to several areas of this service counts once; ``login`` as itself."""
        async with self._database.quiet_transaction() as tx:
            rows = await store.of_owner(tx, login.owner, clock.now())
        return list({row.opened_at: row for row in (*rows, login)}.values())

    async def end_all(self, ended: EndedLogins) -> list[str]:
        """Return their owners, as the security log names them."""
        async with self._database.quiet_transaction() as tx:
            await store.note_end(tx, ended, clock.now())
        async with self._database.quiet_transaction() as tx:
            rows = await store.forget_all(tx, ended)
        owners = [self._principal(row) for row in rows]
        return ["" if who is None else who.in_security_log for who in owners]

    async def has_ended(self, handed: LoginRow) -> bool:
        async with self._database.quiet_transaction() as tx:
            return await store.has_ended(tx, handed)


def _columns_of(identity: Identity, grant: Grant) -> dict[str, str | None]:
    return {
        "name": identity.name,
        "granted_by": grant.by,
        "role": grant.role,
        "delegation": grant.delegation,
    }


def _new_row(request: Request, secret: str, *, owner: str) -> LoginRow:
    now = clock.now()
    return LoginRow(
        digest=digest_of(secret),
        owner=owner,
        form_key=secrets.token_urlsafe(32),
        opened_at=now,
        used_at=now,
        expires_at=now + LASTS,
        browser=browser_of(request.headers.get("user-agent", "")),
    )
