from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Identity,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from shared import limits, read_log
from shared.database import Timestamp, new_registry
from shared.messaging import tables as mechanisms
from shared.web import logins


class MailState(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    """A process has a lease. The relay cannot have the mail yet."""
    DATA_STARTED = "data_started"
    """Stored just before DATA. From here on the relay may have the mail."""
    SENT = "sent"
    RETRY = "retry"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    """The relay may have it or not. Only an operator's decision sends it again."""
    SUPERSEDED = "superseded"


_registry = new_registry()
metadata = _registry.metadata


class _Base(SQLModel, registry=_registry):
    pass


class SessionRow(_Base, table=True):
    __tablename__ = "session"
    # Finds other sessions of an offer.
    __table_args__ = (
        Index("ix_session_offer", text("(state ->> 'offer_id')")),
        # Finds the sessions of an organiser, for the daily letters.
        Index("ix_session_organiser", text("(state ->> 'organiser')")),
    )
    session_id: UUID = Field(primary_key=True)
    version: int
    state: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class TrainerRow(_Base, table=True):
    __tablename__ = "trainer"
    __table_args__ = (
        Index("ix_trainer_session_id", "session_id"),
        Index(
            "ix_trainer_address", func.lower(text("address")), postgresql_where=text("address IS NOT NULL")
        ),
    )
    trainer_id: UUID = Field(primary_key=True)
    session_id: UUID
    version: int = Field(description="The session's, when they were last named.")
    name: str
    address: str | None


FOLDED = (
    "lower(translate(replace(replace(replace(replace({}, 'œ', 'oe'), 'Œ', 'OE'), 'æ', 'ae'), "
    "'Æ', 'AE'), 'ÀÂÄÁÃÇÉÈÊËÎÏÍÔÖÓÕÙÛÜÚŸÑàâäáãçéèêëîïíôöóõùûüúÿñ-’''', "
    "'AAAAACEEEEIIIOOOOUUUUYNaaaaaceeeeiiioooouuuuyn   '))"
)
"""SQL of a folded name: lower case, no accents, œ as oe, blanks for hyphens and apostrophes."""


class EnrolmentRow(_Base, table=True):
    __tablename__ = "enrolment"
    __table_args__ = (
        Index("ix_enrolment_agent", "agent_id", "issuer"),
        # Finds the agents with an address, for lost links.
        Index("ix_enrolment_address", func.lower(text("address"))),
        # Finds a person by the beginning of a name, for support.
        Index("ix_enrolment_name", text(f"{FOLDED.format('family_name')} text_pattern_ops")),
        # Serve fan-outs, which read the agents of a session, enrolled or waiting, in slices.
        Index(
            "ix_enrolment_enrolled",
            "session_id",
            "enrolment_id",
            postgresql_where=text("standing = 'enrolled'"),
        ),
        Index(
            "ix_enrolment_without_seat",
            "session_id",
            "enrolment_id",
            postgresql_where=text("standing IN ('waitlisted', 'offered', 'pending')"),
        ),
        # Serve the digest: new enrolments, and ended ones.
        Index("ix_enrolment_known_since", "known_since"),
        Index("ix_enrolment_withdrawn", "since", postgresql_where=text("standing = 'withdrawn'")),
    )
    enrolment_id: UUID = Field(primary_key=True)
    version: int
    session_id: UUID
    standing: str = Field(description="A value of letters.EnrolmentState.")
    issuer: str = Field(description="Who gave the agent_id; empty in events of before.")
    agent_id: str
    address: str
    given_name: str
    family_name: str
    since: datetime = Field(
        sa_type=Timestamp,
        sa_column_kwargs={"server_default": func.now()},
        description="When the decision was received that put them there.",
    )
    read_at: datetime = Field(
        sa_type=Timestamp,
        sa_column_kwargs={"server_default": func.clock_timestamp()},
        description="When that was read: its letter says what was known of the session then.",
    )
    event_id: UUID = Field(description="The ce_id of that decision.")
    known_since: datetime = Field(
        sa_type=Timestamp,
        sa_column_kwargs={"server_default": func.now()},
        description="When the first decision about it was received.",
    )


class TimelineRow(_Base, table=True):
    """Names and addresses are looked up. Letters are in ``mail``."""

    __tablename__ = "timeline"
    __table_args__ = (
        Index("ix_timeline_agent", "agent_id", "issuer", "at"),
        # Serves the figures, which count new rows.
        Index("ix_timeline_recorded", "recorded_at", postgresql_using="brin"),
    )
    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    event_id: UUID = Field(description="Its ce_id. The inbox sees to it that each is here once.")
    at: datetime = Field(sa_type=Timestamp, description="When the event was received.")
    recorded_at: datetime | None = Field(
        default=None,
        sa_type=Timestamp,
        nullable=False,
        sa_column_kwargs={"server_default": func.clock_timestamp()},
    )
    version: int | None = Field(default=None, description="The enrolment's; null where there is none.")
    kind: str = Field(description="A value of letters.Happening.")
    reason: str | None = Field(description="A code of why, or of how; a refusal's is its Reason.")
    issuer: str
    agent_id: str
    enrolment_id: UUID | None
    session_id: UUID | None
    request_id: UUID | None = Field(description="The request that it answers; null where time did it.")
    siret: str | None = Field(default=None, description="The agent's employer, for the figures.")


class ReplayRow(_Base, table=True):
    __tablename__ = "replay"
    resource_id: UUID = Field(primary_key=True)
    version: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    event_id: UUID
    session_id: UUID = Field(index=True)
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    announced_at: datetime = Field(sa_type=Timestamp)


class WithdrawnResourceRow(_Base, table=True):
    """``event_id`` called for the letters about a replay."""

    __tablename__ = "withdrawn_resource"
    resource_id: UUID = Field(primary_key=True)
    event_id: UUID | None = Field(index=True)
    withdrawn_at: datetime = Field(sa_type=Timestamp)


class NewsRow(_Base, table=True):
    __tablename__ = "news"
    item_id: UUID = Field(primary_key=True)
    event_id: UUID
    kind: str = Field(description="A value of letters.NewsKind.")
    title: str
    summary: str | None
    url: str | None
    interests: list[str] = Field(
        sa_column=Column(ARRAY(String), nullable=False), description="kind:value, as in a subscription."
    )
    session_id: UUID | None
    published_at: datetime = Field(sa_type=Timestamp)


class SubscriberRow(_Base, table=True):
    """An agent named by a portal, or the owner of an address, who subscribed on our page.

    An owner and several agents may have one address.
    """

    __tablename__ = "subscriber"
    __table_args__ = (
        UniqueConstraint("issuer", "agent_id"),
        CheckConstraint("(issuer IS NULL) = (agent_id IS NULL)", name="an_agent_has_an_issuer"),
        Index("ix_subscriber_address", func.lower(text("address"))),
        Index(
            "uq_subscriber_address",
            func.lower(text("address")),
            unique=True,
            postgresql_where=text("agent_id IS NULL"),
        ),
    )
    subscriber_id: UUID = Field(primary_key=True)
    issuer: str | None
    agent_id: str | None
    address: str
    given_name: str
    family_name: str
    created_at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})


class FormerAddressRow(_Base, table=True):
    """The address is in lower case. Letters may still have it."""

    __tablename__ = "former_address"
    issuer: str = Field(primary_key=True)
    agent_id: str = Field(primary_key=True)
    address: str = Field(primary_key=True)
    since: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})


class AgentDetailRow(_Base, table=True):
    """An agent's last stated address or name on a topic, for older events that are read later."""

    __tablename__ = "agent_detail"
    issuer: str = Field(primary_key=True)
    agent_id: str = Field(primary_key=True)
    topic: str = Field(
        primary_key=True, description="Where it was read: it is about what else is read there."
    )
    name: str = Field(primary_key=True, description="email, given_name or family_name.")
    value: str
    stated_at: datetime = Field(sa_type=Timestamp)


class SubscriptionRow(_Base, table=True):
    __tablename__ = "subscription"
    __table_args__ = (Index("ix_subscription_interest", "interest", "subscriber_id"),)
    subscriber_id: UUID = Field(primary_key=True, foreign_key="subscriber.subscriber_id", ondelete="CASCADE")
    interest: str = Field(primary_key=True, description="kind:value, for example theme:enjeux-ia.")
    since: datetime = Field(
        sa_type=Timestamp,
        sa_column_kwargs={"server_default": func.now()},
        description="When it was asked for, the last time: what is older does not end it, as an erasure.",
    )


class EndedSubscriptionRow(_Base, table=True):
    """An older request that is read later begins nothing."""

    __tablename__ = "ended_subscription"
    issuer: str = Field(primary_key=True)
    agent_id: str = Field(primary_key=True)
    interest: str = Field(primary_key=True, description="As of a subscription; empty: all that there was.")
    ended_at: datetime = Field(sa_type=Timestamp)


class SubscriptionRequestRow(_Base, table=True):
    """``confirmed_at`` is when the owner of the address confirmed the request."""

    __tablename__ = "subscription_request"
    request_id: UUID = Field(primary_key=True)
    address: str
    interests: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    requested_at: datetime = Field(
        sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()}, index=True
    )
    confirmed_at: datetime | None = Field(default=None, sa_type=Timestamp)


class FanOutRow(_Base, table=True):
    """One mass letter, queued slice by slice. It outlives the process at work.

    A scheduled one begins when it is due. A begun one does not change.
    """

    __tablename__ = "fan_out"
    __table_args__ = (
        # Find due fan-outs, and keep each letter unique for a session.
        Index("ix_fan_out_due", "due_at", postgresql_where=text("begun_at IS NULL")),
        Index(
            "uq_fan_out_not_started",
            "subject_id",
            "task",
            unique=True,
            postgresql_where=text("begun_at IS NULL"),
        ),
        Index(
            "ix_fan_out_open",
            "begun_at",
            postgresql_where=text("begun_at IS NOT NULL AND done_at IS NULL"),
        ),
    )
    fan_out_id: UUID = Field(primary_key=True, sa_column_kwargs={"server_default": func.gen_random_uuid()})
    event_id: UUID = Field(description="The ce_id of the event that called for it.")
    task: str = Field(description="A value of letters.FanOutTask.")
    subject_id: UUID = Field(description="The session or the item of news that it is about.")
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    called_for_at: datetime = Field(sa_type=Timestamp)
    due_at: datetime | None = Field(sa_type=Timestamp, description="Of what time calls for: when it begins.")
    last_id_done: UUID = Field(description="Done up to this id; zero at first.")
    created_at: datetime = Field(
        sa_type=Timestamp,
        sa_column_kwargs={"server_default": func.clock_timestamp()},
        description="When its session was locked.",
    )
    begun_at: datetime | None = Field(sa_type=Timestamp)
    done_at: datetime | None = Field(sa_type=Timestamp)


_MAIL_ID = (
    "CAST(substr(encode(sha256(CAST(replace(CAST(event_id AS varchar) || ' ' || template "
    r"|| ' ' || issuer || ' ' || recipient, '\', '\\') AS bytea)), 'hex'), 1, 32) AS uuid)"
)
"""Made from the key by casts that Postgres calls immutable. In ``bytea`` a backslash is doubled."""


class MailRow(_Base, table=True):
    """One letter to one person, and its state.

    It is unique per event, template, issuer and recipient, so that an event read twice mails once.
    """

    __tablename__ = "mail"
    __table_args__ = (
        UniqueConstraint("event_id", "template", "issuer", "recipient"),
        CheckConstraint(
            f"state IN ({', '.join(repr(state.value) for state in MailState)})",
            name="state_is_known",
        ),
        CheckConstraint(
            "state NOT IN ('claimed', 'data_started') OR (owner IS NOT NULL AND lease_until IS NOT NULL)",
            name="a_claim_has_an_owner",
        ),
        # Serve the lists, newest first: of all mails, and of one agent.
        Index("ix_mail_created", "created_at", "mail_id"),
        Index("ix_mail_recipient", "recipient", "created_at", "mail_id"),
        # Serves the claim: due mails by priority and time.
        Index("ix_mail_due", "priority", "due_at", postgresql_where=text("state IN ('pending', 'retry')")),
        # Finds returned mails, for the daily letters to organisers.
        Index("ix_mail_bounced", "bounced_at", postgresql_where=text("bounced_at IS NOT NULL")),
        Index("ix_mail_leased", "lease_until", postgresql_where=text("state IN ('claimed', 'data_started')")),
        Index(
            "ix_mail_troubled",
            "state",
            "created_at",
            "mail_id",
            postgresql_where=text("state IN ('failed', 'ambiguous')"),
        ),
    )
    mail_id: UUID = Field(
        sa_column=Column(Uuid, Computed(_MAIL_ID, persisted=True), primary_key=True),
        description="Made from the key: a mail that is queued again after a restore is known to be the same.",
    )
    event_id: UUID = Field(
        description="The ce_id of the event that called for it; of what time, a day's news or an operator "
        "called for, what stands for that."
    )
    template: str
    issuer: str = Field(description="Who gave an agent their id; empty for a person who is no agent.")
    recipient: str = Field(description="The agent's id, or one of ours for a person who is no agent.")
    address: str
    given_name: str
    family_name: str
    session_id: UUID | None
    enrolment_id: UUID | None
    version: int = Field(description="The enrolment's, when the letter was called for.")
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    needs_session: bool
    priority: int = Field(sa_type=SmallInteger)
    called_for_at: datetime = Field(sa_type=Timestamp)
    created_at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})
    due_at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})
    give_up_at: datetime = Field(
        sa_type=Timestamp, sa_column_kwargs={"server_default": text("now() + interval '4 days'")}
    )
    state: str = Field(sa_column_kwargs={"server_default": MailState.PENDING.value})
    attempts: int = Field(sa_column_kwargs={"server_default": "0"})
    claims: int = Field(
        default=0,
        sa_column_kwargs={"server_default": "0"},
        description="Tells one claim from the next, also of the same process.",
    )
    owner: UUID | None = Field(description="The process that claimed it last.")
    lease_until: datetime | None = Field(sa_type=Timestamp)
    message_id: str | None = Field(description="Given at the first claim; the same at each attempt.")
    smtp_code: int | None
    smtp_answer: str | None
    settled_at: datetime | None = Field(sa_type=Timestamp, description="When it was sent or given up.")
    traceparent: str | None = Field(description="The W3C trace context in which it was queued.")
    slot_at: datetime | None = Field(
        default=None,
        sa_type=Timestamp,
        description="When its domain may have it, where it must wait for that.",
    )
    bounced_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When a report came that it did not arrive."
    )
    bounce_status: str | None = Field(default=None, description="RFC 3463 code of that report.")

    @property
    def cause_id(self) -> UUID:
        """Return the event that called for the mail, even if ``event_id`` is another id."""
        return UUID(self.details.get("cause_id", str(self.event_id)))


class MailAttemptRow(_Base, table=True):
    """``written_from`` is kept if the relay may have the letter."""

    __tablename__ = "mail_attempt"
    # Serves the figures, which count new rows.
    __table_args__ = (Index("ix_mail_attempt_at", "at", postgresql_using="brin"),)
    mail_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True, description="That of its claim.")
    at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.clock_timestamp()})
    state: str = Field(description="What it came to: sent, retry, failed or ambiguous.")
    code: int | None
    answer: str
    written_by: str | None = Field(description="The version and the templates that wrote the letter.")
    written_at: datetime | None = Field(sa_type=Timestamp)
    written_from: dict[str, Any] | None = Field(
        sa_column=Column(JSONB), description="What the letter said beside its own details: LetterContext."
    )


class FigureRow(_Base, table=True):
    __tablename__ = "figure"
    month: date = Field(primary_key=True, description="Its first day, by the clocks of Paris.")
    offer_id: str = Field(primary_key=True, description="Empty: of no session that is known.")
    organiser: str = Field(primary_key=True)
    kind: str = Field(primary_key=True, description="A value of figures.FigureKind.")
    reason: str = Field(primary_key=True, description="Of a refusal; else empty.")
    number: int = Field(sa_type=BigInteger)


class AuthorityReachedRow(_Base, table=True):
    """An employer whose agents had a seat in a session, or were present."""

    __tablename__ = "authority_reached"
    session_id: UUID = Field(primary_key=True)
    siret: str = Field(primary_key=True)
    enrolled_at: datetime | None = Field(sa_type=Timestamp, description="When the first agent had a seat.")
    attended_at: datetime | None = Field(sa_type=Timestamp, description="When the first was noted present.")


class FigureProgressRow(_Base, table=True):
    """The only row says until when everything is counted."""

    __tablename__ = "figure_progress"
    id: int = Field(sa_type=SmallInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    counted_until: datetime = Field(sa_type=Timestamp)


class BounceRow(_Base, table=True):
    __tablename__ = "bounce"
    report: bytes = Field(primary_key=True)
    address: bytes = Field(index=True)
    kind: str = Field(description="A value of BounceKind.")
    bounced_at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})


class SuppressionRow(_Base, table=True):
    __tablename__ = "suppression"
    address: bytes = Field(primary_key=True)
    kind: str
    since: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})
    mail_id: UUID = Field(description="The mail that came back last before.")


class AgentLogInRow(_Base, table=True):
    """A person of an issuer who logged in with an address, and whether its mailbox has confirmed that.

    ``person`` is the digest of the issuer and subject, ``address`` that of the address, ``browser`` that of
    the cookie with which the person logged in last. For the log-out there, a confirmed one has the name of
    the issuer and its tokens (:mod:`shared.oidc.sealing`).
    """

    __tablename__ = "agent_log_in"
    person: bytes = Field(primary_key=True)
    address: bytes = Field(primary_key=True)
    request_id: UUID = Field(unique=True, description="In the link of the letter, then of the last log-in.")
    browser: str
    is_confirmed: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    issuer: str | None = None
    sealed_tokens: str | None = Field(default=None, repr=False)
    used_at: datetime = Field(sa_type=Timestamp)


class OrganiserDayRow(_Base, table=True):
    __tablename__ = "organiser_day"
    organiser: str = Field(primary_key=True)
    notified_until: datetime = Field(sa_type=Timestamp)


class EndedDigestRow(_Base, table=True):
    __tablename__ = "ended_digest"
    organiser: str = Field(primary_key=True)
    address: bytes = Field(primary_key=True)
    ended_at: datetime = Field(sa_type=Timestamp)


class DomainRateRow(_Base, table=True):
    __tablename__ = "domain_rate"
    domain: str = Field(primary_key=True)
    free_at: datetime = Field(sa_type=Timestamp)


class ErasureAnswerRow(_Base, table=True):
    __tablename__ = "erasure_answer"
    request_id: UUID = Field(primary_key=True)
    request_source: str = Field(primary_key=True)
    service: str = Field(primary_key=True)
    erased_at: datetime = Field(sa_type=Timestamp)


class MailAuditRow(_Base, table=True):
    __tablename__ = "mail_audit"
    id: int | None = Field(default=None, primary_key=True)
    mail_id: UUID = Field(index=True)
    at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": func.now()})
    actor: str
    action: str


mechanisms.add_to(metadata)
logins.add_to(metadata)
limits.add_to(metadata)
read_log.add_to(metadata)
