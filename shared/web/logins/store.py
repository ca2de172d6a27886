"""Of secrets the digests are stored; tokens of the issuer are sealed by the secret in the browser."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, MetaData, and_, delete, false, func, or_, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select

from shared.database import Timestamp, Transaction, new_registry
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose

LASTS = timedelta(hours=8)
RENEWED_AFTER = timedelta(minutes=1)
CONFIRMED_LASTS = timedelta(hours=1)
"""A log-in at the issuer ends this long after the issuer last said who the person is."""
RENEWAL_LASTS = timedelta(minutes=1)
"""After this time another request may ask for the renewal."""
UNUSED_LASTS = timedelta(minutes=30)
"""Source for the limit without a request: NIST SP 800-63B, for two factors."""
_USE_NOTED = timedelta(minutes=1)
ATTEMPT_LASTS = timedelta(minutes=10)


class LoginTable(SQLModel, registry=new_registry()):
    pass


class LoginRow(LoginTable, table=True):
    """A log-in of a browser, until ``expires_at`` or :data:`UNUSED_LASTS` after ``used_at``.

    ``digest`` is that of its cookie. ``owner`` is the digest of the token, which must still be valid, or of
    the person at the issuer. ``form_key`` is in each of its forms.

    A log-in at the issuer also keeps the rule that gave the role, the tokens for its renewal and the log-out
    there (:mod:`shared.oidc.sealing`), and the digest of the session there. ``proved_at`` is when the issuer
    checked the person.
    """

    __tablename__ = "login"

    digest: str = Field(primary_key=True)
    owner: str = Field(index=True)
    form_key: str
    opened_at: datetime = Field(sa_type=Timestamp)
    used_at: datetime = Field(sa_type=Timestamp)
    expires_at: datetime = Field(sa_type=Timestamp, index=True)
    browser: str
    granted_by: str | None = None
    name: str | None = None
    role: str | None = None
    delegation: str | None = None
    sealed_tokens: str | None = Field(default=None, repr=False)
    issuer_session: str | None = None
    renew_at: datetime | None = Field(default=None, sa_type=Timestamp)
    proved_at: datetime | None = Field(default=None, sa_type=Timestamp)
    has_second_factor: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    purpose: str | None = Field(default=None, description="What its owner reads people's data for.")


class LoginAttemptRow(LoginTable, table=True):
    """``state`` and ``browser`` are digests of the state parameter and of the cookie."""

    __tablename__ = "login_attempt"

    state: str = Field(primary_key=True)
    browser: str
    nonce: str
    verifier: str
    towards: str
    expires_at: datetime = Field(sa_type=Timestamp, index=True)


class LogoutTokenRow(LoginTable, table=True):
    """A logout token of the issuer that was used: each counts once. ``digest`` is that of its id.

    Or log-ins that have ended: by token, and no ticket opens them again; of an agent
    (:func:`note_end_of_agent`), as long as its links would last.
    """

    __tablename__ = "logout_token"

    digest: str = Field(primary_key=True)
    expires_at: datetime = Field(sa_type=Timestamp, index=True)


@dataclass(frozen=True, slots=True)
class EndedLogins:
    """The log-ins of ``owner`` that began at ``opened_at``, in any area; None means all of the owner.

    Log-ins at the issuer begin at another time in each area: ``at_issuer`` are their browser and their
    session there, if it is known. ``digests`` are those of further cookies of the browser.
    """

    owner: str
    opened_at: datetime | None
    at_issuer: tuple[str, str | None] | None = None
    digests: Collection[str] = ()

    @classmethod
    def with_row(cls, row: LoginRow) -> "EndedLogins":
        by_token = row.granted_by is None
        return cls(row.owner, row.opened_at, None if by_token else (row.browser, row.issuer_session))


def add_to(metadata: MetaData) -> None:
    for table in LoginTable.metadata.tables.values():
        table.to_metadata(metadata)


def digest_of(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def remember(tx: Transaction, row: LoginRow | LoginAttemptRow) -> None:
    tx.add(row)
    await tx.flush()


def _in_force(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(LoginRow.expires_at) > now, col(LoginRow.used_at) > now - UNUSED_LASTS


async def used(tx: Transaction, digest: str, now: datetime) -> LoginRow | None:
    """Note the use of the log-in. Returns None if it has ended."""
    row = await tx.scalar(select(LoginRow).where(col(LoginRow.digest) == digest, *_in_force(now)))
    if row is not None and row.used_at <= now - _USE_NOTED:
        await tx.execute(update(LoginRow).where(col(LoginRow.digest) == digest).values(used_at=now))
    return row


async def forget(tx: Transaction, digest: str) -> None:
    await tx.execute(delete(LoginRow).where(col(LoginRow.digest) == digest))


async def state_purpose(tx: Transaction, digest: str, purpose: str) -> None:
    await tx.execute(update(LoginRow).where(col(LoginRow.digest) == digest).values(purpose=purpose))


async def of_owner(tx: Transaction, owner: str, now: datetime) -> list[LoginRow]:
    query = select(LoginRow).where(col(LoginRow.owner) == owner, *_in_force(now))
    return list(await tx.scalars(query.order_by(col(LoginRow.opened_at).desc(), col(LoginRow.digest))))


async def forget_all(tx: Transaction, ended: EndedLogins) -> list[LoginRow]:
    of_moment = true() if ended.opened_at is None else col(LoginRow.opened_at) == ended.opened_at
    if ended.at_issuer is not None:
        browser, session = ended.at_issuer
        of_session = col(LoginRow.issuer_session).is_not_distinct_from(session)
        of_moment = and_(col(LoginRow.granted_by).is_not(None), col(LoginRow.browser) == browser, of_session)
    of_owner = and_(col(LoginRow.owner) == ended.owner, of_moment)
    theirs = delete(LoginRow).where(or_(of_owner, col(LoginRow.digest).in_(ended.digests)))
    return list((await tx.execute(theirs.returning(LoginRow))).scalars())


async def note_end(tx: Transaction, ended: EndedLogins, now: datetime) -> None:
    await _note(tx, _name_of(ended.owner, ended.opened_at), now + LASTS)


def log_in_of_agent(person: str, *browser: str) -> UUID:
    """The first half names the person, the second the browser. Without a browser, it means all of them."""
    return UUID(person[:16] + (digest_of(*browser)[:16] if browser else "0" * 16))


async def note_end_of_agent(tx: Transaction, log_in: int, until: datetime) -> None:
    """End the links of a log-in, or of all of a person, that last until then or less."""
    await _note(tx, _name_of_agent(log_in), until)


async def _note(tx: Transaction, digest: str, until: datetime) -> None:
    noted = insert(LogoutTokenRow).values(digest=digest, expires_at=until)
    changes = {"expires_at": until}
    await tx.execute(noted.on_conflict_do_update(index_elements=["digest"], set_=changes))


async def has_ended(tx: Transaction, row: LoginRow) -> bool:
    """Return whether the log-in of this beginning has ended, or all that its owner had begun."""
    this = col(LogoutTokenRow.digest) == _name_of(row.owner, row.opened_at)
    every = col(LogoutTokenRow.digest) == _name_of(row.owner, None)
    begun_before = col(LogoutTokenRow.expires_at) >= row.opened_at + LASTS
    ended = select(LogoutTokenRow.digest).where(or_(this, and_(every, begun_before)))
    return await tx.scalar(ended.limit(1)) is not None


def _name_of(owner: str, opened_at: datetime | None) -> str:
    return digest_of("ended", owner, "" if opened_at is None else opened_at.astimezone(UTC).isoformat())


def _name_of_agent(log_in: int) -> str:
    return digest_of("agent", str(log_in))


async def forget_person(tx: Transaction, name: str, owners: Collection[str]) -> int:
    """Return the number of ended log-ins at the issuer."""
    theirs = or_(func.lower(col(LoginRow.name)) == name.lower(), col(LoginRow.owner).in_(owners))
    ended = await tx.execute(delete(LoginRow).where(col(LoginRow.granted_by).is_not(None), theirs))
    return ended.rowcount


async def claim_renewal(tx: Transaction, digest: str, now: datetime) -> bool:
    """Return whether this request renews the log-in: a refresh token may count once."""
    claimed = await tx.execute(
        update(LoginRow)
        .where(col(LoginRow.digest) == digest, col(LoginRow.renew_at) <= now)
        .values(renew_at=now + RENEWAL_LASTS)
    )
    return claimed.rowcount == 1


async def renew(tx: Transaction, digest: str, changes: Mapping[str, object]) -> bool:
    """Return False if the log-in has ended meanwhile."""
    changed = await tx.execute(update(LoginRow).where(col(LoginRow.digest) == digest).values(changes))
    return changed.rowcount == 1


async def use_logout_token(tx: Transaction, digest: str, expires_at: datetime) -> bool:
    """Return False if the token was used before."""
    added = insert(LogoutTokenRow).values(digest=digest, expires_at=expires_at).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def agent_has_ended(tx: Transaction, log_in: int, until: datetime) -> bool:
    """Return whether the log-in has ended since it led to a link that lasts until then."""
    of_person = log_in >> 64 << 64
    ended = select(LogoutTokenRow.digest).where(
        col(LogoutTokenRow.digest).in_([_name_of_agent(log_in), _name_of_agent(of_person)]),
        col(LogoutTokenRow.expires_at) >= until,
    )
    return await tx.scalar(ended.limit(1)) is not None


async def forget_at_issuer(tx: Transaction, owner: str | None, session: str | None) -> int:
    """End the log-ins of a person at the issuer, of a session there, or of a session of a person.

    A log-in whose session is not known ends with any session of its person. Returns the number.
    """
    if owner is None and session is None:
        return 0
    theirs = delete(LoginRow).where(col(LoginRow.granted_by).is_not(None))
    if owner is not None:
        theirs = theirs.where(col(LoginRow.owner) == owner)
    if session is not None:
        is_session = col(LoginRow.issuer_session) == session
        unknown = col(LoginRow.issuer_session).is_(None)
        theirs = theirs.where(is_session if owner is None else or_(is_session, unknown))
    return (await tx.execute(theirs)).rowcount


async def take_attempt(tx: Transaction, state: str, browser: str, now: datetime) -> LoginAttemptRow | None:
    """An attempt is taken once. Returns None if it is another browser's or took too long."""
    return await tx.scalar(
        delete(LoginAttemptRow)
        .where(
            col(LoginAttemptRow.state) == state,
            col(LoginAttemptRow.browser) == browser,
            col(LoginAttemptRow.expires_at) > now,
        )
        .returning(LoginAttemptRow)
    )


_OVER = Retention(table=LoginRow, days=0, since="la fin de la connexion", over="expires_at <= :before")
_ATTEMPTS = Retention(
    table=LoginAttemptRow, days=0, since="dix minutes après qu’elle a commencé", over="expires_at <= :before"
)
_LOGOUT_TOKENS = Retention(
    table=LogoutTokenRow, days=0, since="la fin de validité du jeton", over="expires_at <= :before"
)

REGISTER = Register(
    [
        PersonalData(
            table=LoginRow,
            whose=Whose.STAFF,
            columns={
                "digest": "empreinte du témoin de connexion",
                "owner": "empreinte du jeton de la personne, ou de son identifiant de connexion",
                "browser": "navigateur et système, tels que le navigateur les annonce",
                "name": "son courriel ou son nom, tel que le fournisseur d’identité le donne",
                "purpose": "motif de ce qui est consulté",
                "sealed_tokens": "jetons du fournisseur d’identité, chiffrés par le témoin de connexion",
                "issuer_session": "empreinte de la session chez le fournisseur d’identité",
            },
            purpose="Reconnaître qui s’est connecté, huit heures au plus, et trente minutes sans visite.",
            ends=(_OVER,),
            of_address=BY_ADDRESS.format("name"),
        )
    ],
    [_OVER, _ATTEMPTS, _LOGOUT_TOKENS],
)
