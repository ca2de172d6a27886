"""What is stored of log-ins, and every statement about it: those in force, and those that were begun.

Of a secret that a browser has, only the digest is kept.
"""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, MetaData, delete, func, or_, update
from sqlmodel import Field, SQLModel, col, select

from shared.database import Timestamp, Transaction, new_registry
from shared.personal_data import BY_ADDRESS, PersonalData, Register, Retention, Whose

LASTS = timedelta(hours=8)
"""A working day."""
UNUSED_LASTS = timedelta(minutes=30)
"""Without a request. Source: NIST SP 800-63B, for two factors."""
_USE_NOTED = timedelta(minutes=1)
"""How exactly it is known when a log-in was used: a write a minute at most."""
ATTEMPT_LASTS = timedelta(minutes=10)
"""For how long one may take to log in at the issuer."""


class LoginTable(SQLModel, registry=new_registry()):
    """The registry of the tables below."""


class LoginRow(LoginTable, table=True):
    """A browser that is logged in, until ``expires_at``, or :data:`UNUSED_LASTS` after ``used_at``.

    ``digest`` is that of its cookie; ``owner`` that of the token it logged in with, which must still be
    known, or that of the person at the issuer. ``form_key`` is in each of its forms, and in nobody else's. Of
    who has logged in at the issuer the rest is kept too: the rule that gave the role, and the ID token, which
    says at log-out whose log-in ends there.
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
    id_token: str | None = Field(default=None, repr=False)
    purpose: str | None = Field(default=None, description="What its owner reads people's data for.")


class LoginAttemptRow(LoginTable, table=True):
    """A log-in at the issuer that was begun: by which browser, and what must come back with it.

    ``state`` and ``browser`` are digests: of what travels, and of the cookie of whoever began.
    """

    __tablename__ = "login_attempt"

    state: str = Field(primary_key=True)
    browser: str
    nonce: str
    verifier: str
    towards: str
    expires_at: datetime = Field(sa_type=Timestamp, index=True)


def add_to(metadata: MetaData) -> None:
    """Put the tables of log-ins among a service's own, so that its migrations make them."""
    for table in LoginTable.metadata.tables.values():
        table.to_metadata(metadata)


def digest_of(*parts: str) -> str:
    """Return the digest by which a secret, or somebody, is known here."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def remember(tx: Transaction, row: LoginRow | LoginAttemptRow) -> None:
    """Store a log-in, or that one was begun."""
    tx.add(row)
    await tx.flush()


def _in_force(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(LoginRow.expires_at) > now, col(LoginRow.used_at) > now - UNUSED_LASTS


async def used(tx: Transaction, digest: str, now: datetime) -> LoginRow | None:
    """Return the log-in of a cookie, unless it has ended, and note that it is used."""
    row = await tx.scalar(select(LoginRow).where(col(LoginRow.digest) == digest, *_in_force(now)))
    if row is not None and row.used_at <= now - _USE_NOTED:
        await tx.execute(update(LoginRow).where(col(LoginRow.digest) == digest).values(used_at=now))
    return row


async def forget(tx: Transaction, digest: str) -> None:
    """End a log-in, whoever else has kept its cookie."""
    await tx.execute(delete(LoginRow).where(col(LoginRow.digest) == digest))


async def state_purpose(tx: Transaction, digest: str, purpose: str) -> None:
    """Keep what the owner of a log-in reads people's data for, from now on."""
    await tx.execute(update(LoginRow).where(col(LoginRow.digest) == digest).values(purpose=purpose))


async def of_owner(tx: Transaction, owner: str, now: datetime) -> list[LoginRow]:
    """Return the log-ins of somebody that have not ended, newest first."""
    query = select(LoginRow).where(col(LoginRow.owner) == owner, *_in_force(now))
    return list(await tx.scalars(query.order_by(col(LoginRow.opened_at).desc(), col(LoginRow.digest))))


async def forget_of(tx: Transaction, owner: str, digest: str | None) -> None:
    """End a log-in of somebody, or all."""
    theirs = delete(LoginRow).where(col(LoginRow.owner) == owner)
    await tx.execute(theirs if digest is None else theirs.where(col(LoginRow.digest) == digest))


async def forget_person(tx: Transaction, name: str, owner: str) -> int:
    """End the log-ins at the issuer of whoever has this name or is this owner. Returns how many."""
    theirs = or_(func.lower(col(LoginRow.name)) == name.lower(), col(LoginRow.owner) == owner)
    ended = await tx.execute(delete(LoginRow).where(col(LoginRow.granted_by).is_not(None), theirs))
    return ended.rowcount


async def take_attempt(tx: Transaction, state: str, browser: str, now: datetime) -> LoginAttemptRow | None:
    """Return what a browser began under this state, once; None for another's, or what took too long."""
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
                "id_token": "ce que le fournisseur d’identité certifie d’elle",
            },
            purpose="Reconnaître qui s’est connecté, huit heures au plus, et trente minutes sans visite.",
            ends=(_OVER,),
            of_address=BY_ADDRESS.format("name"),
        )
    ],
    [_OVER, _ATTEMPTS],
)
"""What log-ins keep of people."""
