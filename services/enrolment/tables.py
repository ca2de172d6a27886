from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from services.enrolment.rules.states import State
from shared import limits, read_log
from shared.database import Timestamp, new_registry
from shared.messaging import tables as messaging
from shared.web import logins


class EnrolmentTable(SQLModel, registry=new_registry()):
    pass


LIVE_SQL = ", ".join(sorted(f"'{state}'" for state in State if state.is_live))

BEFORE_SQL = "(\nCASE\nWHEN state = 'waitlisted' THEN -priority\nELSE 0\nEND)"
"""The order of roster lines in one state as SQL; lower is first.

The line breaks are Postgres's own: Alembic compares the index with this text.
"""


def plain_sql(first: str, *others: str) -> str:
    """Return the SQL that computes :func:`services.enrolment.rules.roster_lines.plain` of these texts.

    Its collation sorts as Python does. The brackets are Postgres's own, as above. Each text that is not a
    plain column needs brackets of its own.
    """
    joined = first
    for other in others:
        joined = f"({joined} || {other})"
    letters = f'normalize(lower({joined[1:-1]}), NFD) COLLATE "C"'
    return f"regexp_replace({letters}, '[\u0300-\u036f]', '', 'g')"


_FAMILY, _GIVEN, _EMAIL = "(agent ->> 'family_name')", "(agent ->> 'given_name')", "(agent ->> 'email')"
EMPLOYER = "((agent -> 'employer') ->> 'name')"

NAME_SQL = plain_sql(_FAMILY, "' '", _GIVEN)

SOUGHT_SQL = "coalesce(sought, {})".format(
    plain_sql(EMPLOYER, "' '", _FAMILY, "' '", _GIVEN, "chr(10)", _EMAIL, "' '", "agent_id")
)
"""The SQL of a person's search text. It fills rows that versions without the column wrote."""

ERASED = "erased"
"""The kind of an erased agent's request. Only its source and id are kept."""


class SessionRow(EnrolmentTable, table=True):
    """The newest catalogue state of a session, and its seats. Changing it needs the row lock."""

    __tablename__ = "session"
    __table_args__ = (
        Index(
            "ix_session_next_release", "next_release_at", postgresql_where=text("next_release_at IS NOT NULL")
        ),
        Index("ix_session_close_due", "close_due_at", postgresql_where=text("close_due_at IS NOT NULL")),
        Index(
            "ix_session_groups_kept_until",
            "groups_kept_until",
            postgresql_where=text("groups_kept_until IS NOT NULL"),
        ),
        Index("ix_session_line_ends", "line_ends_at", postgresql_where=text("waiting > 0")),
        CheckConstraint("enrolled >= 0 AND offered >= 0 AND waiting >= 0", name="counts_are_not_negative"),
        # Not the capacity: lowering it evicts nobody, so it may be below the number of taken seats.
        CheckConstraint("enrolled + offered <= seat_ceiling", name="seats_are_never_exceeded"),
    )

    session_id: UUID = Field(primary_key=True)
    version: int
    state: dict[str, Any] = Field(sa_type=JSONB, description="shared.events.seances.NumberedSession")
    enrolled: int = 0
    offered: int = 0
    waiting: int = 0
    seat_ceiling: int | None = Field(
        description="What enrolled + offered may reach: the capacity, or what was taken when it was lowered."
    )
    next_ticket: int = Field(default=1, sa_type=BigInteger, description="How many were drawn, and one.")
    newest_receipt: datetime | None = Field(
        default=None, sa_type=Timestamp, description="Of the requests that began an enrolment."
    )
    occupancy_version: int = 0
    seats_by_employer: dict[str, dict[str, int]] | None = Field(
        default=None,
        sa_type=JSONB,
        description="Seats taken, by delegation and by SIRET; null where neither matters.",
    )
    enrolment_closes_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="Of the state, for the clock."
    )
    line_ends_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="From when on who waits is given no seat."
    )
    cancelled_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When its cancellation was read."
    )
    next_release_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When reserved seats are released next, if ever."
    )
    waiting_groups: dict[str, dict[str, Any]] | None = Field(
        default=None,
        sa_type=JSONB,
        description="Of each group that waits as one place, by its ticket, "
        "services.enrolment.rules.waiting_list.WaitingGroup; null: none waits.",
    )
    groups_kept_until: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When the first of them stops keeping seats."
    )
    close_due_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When its organiser may have something to decide."
    )
    close_judged_for: datetime | None = Field(
        default=None,
        sa_type=Timestamp,
        description="The close at which that was looked at last.",
    )


class EnrolmentRow(EnrolmentTable, table=True):
    __tablename__ = "enrolment"
    __table_args__ = (
        Index(
            "uq_enrolment_live",
            "session_id",
            "issuer",
            "agent_id",
            unique=True,
            postgresql_where=text(f"state IN ({LIVE_SQL})"),
        ),
        # The identifier comes first, because organisers and operators may know only the identifier.
        Index("ix_enrolment_agent_session", "agent_id", "session_id", "issuer"),
        # Finds an agent enrolled by hand by address.
        Index(
            "ix_enrolment_by_hand",
            text("lower(agent ->> 'email')"),
            postgresql_where=text("issuer = 'cnfpt'"),
        ),
        Index(
            "ix_enrolment_waiting",
            "session_id",
            text("priority DESC"),
            "ticket",
            postgresql_where=text("state = 'waitlisted'"),
        ),
        # Finds the waiting groups, which are few.
        Index(
            "ix_enrolment_together",
            "session_id",
            text("priority DESC"),
            "ticket",
            postgresql_where=text("state = 'waitlisted' AND waits_together"),
        ),
        # Serves rosters, which are read state by state.
        Index(
            "ix_enrolment_roster",
            "session_id",
            "state",
            text(BEFORE_SQL),
            text("coalesce(ticket, 0)"),
            "received_at",
            "enrolment_id",
        ),
        # This index and the next find one person enrolled under two issuers: by address or by name.
        Index("ix_enrolment_address", "session_id", text("lower(agent ->> 'email')")),
        # Serves also rosters sorted by name, state by state. Sorting by employer reads ``sought`` instead.
        Index("ix_enrolment_name", "session_id", "state", text(NAME_SQL), "enrolment_id"),
        Index("ix_enrolment_offered", "hold_until", postgresql_where=text("state = 'offered'")),
        Index(
            "ix_enrolment_pending",
            "session_id",
            postgresql_where=text("state IN ('pending_approval', 'pending_selection')"),
        ),
    )

    enrolment_id: UUID = Field(primary_key=True)
    version: int
    session_id: UUID
    issuer: str
    agent_id: str
    agent: dict[str, Any] = Field(sa_type=JSONB, description="shared.events.vocabulary.Agent")
    state: str
    reason: str | None = None
    ticket: int | None = Field(
        default=None, sa_type=BigInteger, description="Place in line, by time of receipt."
    )
    priority: int = Field(
        default=0, sa_column_kwargs={"server_default": "0"}, description="Before lower ones in line."
    )
    hold_until: datetime | None = Field(
        default=None, sa_type=Timestamp, description="Until when the seat offered is, or was, held."
    )
    waits_together: bool = Field(
        default=False,
        sa_column_kwargs={"server_default": text("false")},
        description="It waits, or waited, as one place with all of its ticket.",
    )
    request_id: UUID
    request_source: str
    received_at: datetime = Field(sa_type=Timestamp)
    sought: str | None = Field(
        default=None,
        description="Employer and names, and on a line of their own address and identifier, as rosters are "
        "searched and sorted by employer; null: made when it is needed. The database forgets it when the "
        "last release corrects the agent.",
    )
    updated_at: datetime = Field(sa_type=Timestamp)


class RequestRow(EnrolmentTable, table=True):
    """A request and its result. It is undecided while it waits for its session.

    The key includes the source, because two portals may use one id.
    """

    __tablename__ = "request"
    __table_args__ = (
        Index("ix_request_undecided", "session_id", "number", postgresql_where=text("decided_at IS NULL")),
        # Finds the requests of an agent, for explanations and erasure. Few queries search by session.
        Index("ix_request_agent", "agent_id", postgresql_where=text("agent_id IS NOT NULL")),
    )

    request_id: UUID = Field(primary_key=True)
    source: str = Field(primary_key=True, description="Its ce_source; empty: no portal sent it.")
    portal: str | None = Field(default=None, description="Who sent it, by the registry of portals.")
    number: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), nullable=False)
    )
    kind: str = Field(description="The name of a class of services.enrolment.rules.requests, or erased.")
    session_id: UUID
    issuer: str | None = Field(description="Of the agent.")
    agent_id: str | None = Field(description="Null: the request names several.")
    received_at: datetime = Field(sa_type=Timestamp)
    created_at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": text("now()")})
    decided_at: datetime | None = Field(default=None, sa_type=Timestamp)
    outcome: str | None = None
    reason: str | None = None
    facts: dict[str, Any] | None = Field(
        default=None,
        sa_type=JSONB,
        description="Seats and line when it was decided; of several, how many what.",
    )
    body: dict[str, Any] | None = Field(
        default=None, sa_type=JSONB, description="The request, while undecided."
    )


class RequestOutcomeRow(EnrolmentTable, table=True):
    __tablename__ = "request_outcome"
    __table_args__ = (Index(None, "at", postgresql_using="brin"),)

    event_id: UUID = Field(primary_key=True, description="Of the event that says it.")
    request_id: UUID = Field(index=True)
    request_source: str
    at: datetime = Field(sa_type=Timestamp)
    state: str = Field(description="accepted, rejected, or what a delegation answered.")
    code: str | None = Field(default=None, description="Why it was rejected.")
    problems: list[dict[str, str]] | None = Field(default=None, sa_type=JSONB)


class BespokeTaskRow(EnrolmentTable, table=True):
    """A bespoke request as a task of a delegation, without names.

    Requests older than this table lack delegation and authority.
    """

    __tablename__ = "bespoke_task"
    __table_args__ = (
        Index("ix_bespoke_task_waiting", "delegation", "since", postgresql_where=text("step < 2")),
    )

    request_id: UUID = Field(primary_key=True)
    source: str = Field(primary_key=True, description="The ce_source of the request; empty: not known.")
    delegation: str | None = None
    authority: str | None = None
    trainees: int | None = None
    since: datetime = Field(sa_type=Timestamp, description="When it took its step.")
    step: int = Field(description="services.enrolment.rules.overview.BespokeStep")


class EnrolmentChangeRow(EnrolmentTable, table=True):
    __tablename__ = "enrolment_change"
    __table_args__ = (Index("ix_enrolment_change_session", "session_id", "at"),)

    enrolment_id: UUID = Field(primary_key=True)
    version: int = Field(primary_key=True)
    session_id: UUID
    issuer: str
    agent_id: str
    at: datetime = Field(sa_type=Timestamp)
    state: str
    cause: str = Field(description="services.enrolment.rules.states.Cause")
    request_id: UUID | None = Field(default=None, description="The request it followed from; null: time.")
    request_source: str | None = None
    facts: dict[str, Any] = Field(sa_type=JSONB)


class SessionChangeRow(EnrolmentTable, table=True):
    __tablename__ = "session_change"

    session_id: UUID = Field(primary_key=True)
    changed: list[str] = Field(sa_type=JSONB, description="shared.events.enrolment.SessionPart")
    issuer: str
    agent_id: str
    since: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": text("now()")})


class MessageRow(EnrolmentTable, table=True):
    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_session", "session_id", "send_at"),
        Index("ix_message_due", "send_at", postgresql_where=text("published_at IS NULL")),
    )

    message_id: UUID = Field(primary_key=True)
    session_id: UUID
    author: str
    text: str
    link: str | None
    audience: list[str] = Field(sa_type=JSONB, description="shared.events.enrolment.MessageAudience")
    enrolment_ids: list[str] | None = Field(sa_type=JSONB, description="Of those, only these; null: all.")
    send_at: datetime = Field(sa_type=Timestamp)
    created_at: datetime = Field(sa_type=Timestamp)
    published_at: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When it was given to who writes letters; null: to come."
    )


class CorrectionRow(EnrolmentTable, table=True):
    __tablename__ = "correction"
    # Each batch asks whether a newer correction exists, then for which agents.
    __table_args__ = (
        Index("ix_correction_agent", "issuer", "agent_id", "received_at"),
        Index("ix_correction_received_at", "received_at"),
    )

    request_id: UUID = Field(primary_key=True)
    request_source: str = Field(primary_key=True)
    issuer: str
    agent_id: str
    received_at: datetime = Field(sa_type=Timestamp)
    author: str | None = Field(
        default=None, description="Of the staff, or the agent; null: a portal asked for it."
    )
    before: list[dict[str, Any]] = Field(
        sa_type=JSONB, description="What enrolments had, each once; empty: none is corrected yet."
    )
    after: dict[str, Any] = Field(sa_type=JSONB, description="What was corrected.")


class NewAddressRow(EnrolmentTable, table=True):
    __tablename__ = "new_address"

    request_id: UUID = Field(primary_key=True)
    enrolment_id: UUID
    issuer: str
    agent_id: str
    present: str = Field(
        description="The agent's address when it was given: with another it confirms nothing."
    )
    address: str
    given_at: datetime = Field(sa_type=Timestamp)


class AddressHoldRow(EnrolmentTable, table=True):
    """A corrected address whose reader has not confirmed the correction yet (ADR 0069)."""

    __tablename__ = "address_hold"

    issuer: str = Field(primary_key=True)
    agent_id: str = Field(primary_key=True)
    address: str = Field(primary_key=True, description="The address before the correction, in lower case.")
    until: datetime = Field(
        sa_type=Timestamp, description="Until then, links to the agent's other addresses change nothing."
    )


class BadAddressRow(EnrolmentTable, table=True):
    """The address is not kept."""

    __tablename__ = "bad_address"

    issuer: str = Field(primary_key=True)
    agent_id: str = Field(primary_key=True)
    since: datetime = Field(sa_type=Timestamp, description="When a mail came back last.")


class PartitionNumberRow(EnrolmentTable, table=True):
    __tablename__ = "partition_number"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    until: datetime | None = Field(
        default=None, sa_type=Timestamp, description="When another was seen first; null: it has them now."
    )


class AttendanceRow(EnrolmentTable, table=True):
    """The newest attendance of an agent at a module. ``enrolment_change`` has the authors."""

    __tablename__ = "attendance"

    enrolment_id: UUID = Field(primary_key=True)
    module: int = Field(primary_key=True, description="From 0.")
    attendance: str = Field(description="shared.events.enrolment.Attendance")
    recorded_at: datetime = Field(sa_type=Timestamp)


class LastNominationRow(EnrolmentTable, table=True):
    __tablename__ = "last_nomination"

    session_id: UUID = Field(primary_key=True)
    siret: str = Field(primary_key=True)
    issuer: str = Field(primary_key=True, description="Of its agents: each names its own.")
    received_at: datetime = Field(sa_type=Timestamp)


class QuestionAnswerRow(EnrolmentTable, table=True):
    __tablename__ = "question_answer"

    enrolment_id: UUID = Field(primary_key=True)
    question_id: str = Field(primary_key=True, description="shared.events.catalogue.Question")
    question: str = Field(description="In the words in which it was asked.")
    value: Any = Field(sa_type=JSONB, description="Of shared.events.portal.QuestionAnswer.")
    kept_days: int = Field(description="After the session's end, as the question said then.")


class ArrivalRow(EnrolmentTable, table=True):
    """An arrival at a module."""

    __tablename__ = "arrival"

    enrolment_id: UUID = Field(primary_key=True)
    module: int = Field(primary_key=True, description="From 0.")
    at: datetime = Field(sa_type=Timestamp)
    author: str


class RankingDraftRow(EnrolmentTable, table=True):
    __tablename__ = "ranking_draft"

    session_id: UUID = Field(primary_key=True)
    version: int = Field(description="How often it was saved.")
    ranks: dict[str, int] = Field(sa_type=JSONB, description="By enrolment.")
    not_selected: list[str] = Field(sa_type=JSONB, description="Enrolments.")
    author: str = Field(description="Who saved it last.")
    saved_at: datetime = Field(sa_type=Timestamp)


class NoteRow(EnrolmentTable, table=True):
    """An organiser's note beside an enrolment, for the delegation only. It never changes.

    A removed note keeps author and date, but no text.
    """

    __tablename__ = "note"

    note_id: UUID = Field(primary_key=True)
    enrolment_id: UUID = Field(index=True)
    author: str
    text: str
    written_at: datetime = Field(sa_type=Timestamp)
    removed_by: str | None = None
    removed_at: datetime | None = Field(default=None, sa_type=Timestamp)


class CertificateRow(EnrolmentTable, table=True):
    """A certificate's code, created by the first read. A correction of attendance makes it void."""

    __tablename__ = "certificate"
    __table_args__ = (Index(None, "void_codes", postgresql_using="gin"),)

    enrolment_id: UUID = Field(primary_key=True)
    code: str = Field(unique=True)
    void_codes: list[str] = Field(
        default_factory=list, sa_type=ARRAY(String), sa_column_kwargs={"server_default": "{}"}
    )


class ErasedAttendanceRow(EnrolmentTable, table=True):
    __tablename__ = "erased_attendance"

    session_id: UUID = Field(primary_key=True)
    module: int = Field(primary_key=True, description="From 0.")
    attendance: str = Field(primary_key=True, description="shared.events.enrolment.Attendance")
    number: int


class AcceptedEventRow(EnrolmentTable, table=True):
    __tablename__ = "accepted_event"
    __table_args__ = (Index(None, "accepted_at", postgresql_using="brin"),)

    event_id: UUID = Field(primary_key=True)
    portal: str = Field(primary_key=True)
    digest: bytes = Field(description="SHA-256 of what it says, to know when the id comes with another one.")
    accepted_at: datetime = Field(sa_type=Timestamp, sa_column_kwargs={"server_default": text("now()")})


class WebhookRow(EnrolmentTable, table=True):
    __tablename__ = "webhook"

    portal: str = Field(primary_key=True)
    cursor: int = Field(sa_type=BigInteger, description="The last number of the feed that was taken.")
    failures: int = Field(description="Attempts in a row that failed.")
    failing_since: datetime | None = Field(default=None, sa_type=Timestamp)
    next_attempt_at: datetime | None = Field(default=None, sa_type=Timestamp)
    disabled_at: datetime | None = Field(default=None, sa_type=Timestamp)
    reason: str | None = Field(default=None, description="Why the last attempt failed.")
    leased_by: UUID | None = Field(default=None, description="The process that sends.")
    leased_until: datetime | None = Field(default=None, sa_type=Timestamp)


metadata = EnrolmentTable.metadata
messaging.add_to(metadata)
# Finds the events about an agent. Only this service needs the index. A portal's copies are found by no key.
Index("ix_outbox_key", metadata.tables["outbox"].c.key, postgresql_where=text("portal IS NULL"))
limits.add_to(metadata)
read_log.add_to(metadata)
logins.add_to(metadata)
