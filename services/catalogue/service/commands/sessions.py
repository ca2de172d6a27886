from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator
from stdnum.fr import siret

from services.catalogue.rules.lifecycle import days_before
from services.catalogue.rules.offers import Offer, Terms
from services.catalogue.rules.sessions import Plan, Presentation, Session, Trainer
from services.catalogue.service.commands.command import ServiceCommand, not_null
from services.catalogue.service.session_fields import NEVER_NULL
from shared.events.catalogue import (
    MAX_QUESTIONS,
    MAX_TRAINERS,
    Audience,
    Module,
    Prerequisite,
    Question,
    ReservedSeats,
)
from shared.events.names import NOT_IN_NAME, check_name
from shared.events.vocabulary import (
    ApprovalPolicy,
    Delegation,
    Email,
    Instant,
    Line,
    Name,
    Paragraph,
    QuestionKind,
    Remark,
    Siret,
    Slug,
    Timezone,
    Url,
    WaitingList,
    at_most,
)

SeatCount = Annotated[int, Field(ge=0, le=1_000_000)]
Reference = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$"),
    Field(
        description=(
            "The organiser's own reference, unique among the organiser's sessions whatever its case, and "
            "hidden from others. At most 64 characters: letters without accents, digits, points, hyphens, "
            "slashes, underscores. The first is a letter or a digit."
        )
    ),
]
"""No spreadsheet takes such a text for a formula."""


class ModuleRequest(ServiceCommand):
    """A séance."""

    title: Line
    starts_at: Instant
    ends_at: Instant


class ReservedSeatsRequest(ServiceCommand):
    """Seats for one delegation's agents, until ``release_at``."""

    delegation: Delegation
    seats: int = Field(ge=1, le=1_000_000)
    release_at: Instant


def _with_its_check_digit(typed: str) -> str:
    if not siret.is_valid(typed):
        raise ValueError(f"{typed} is not a SIRET: its check digit is wrong")
    return typed


class AudienceRequest(Audience, extra="forbid"):
    """Who may enrol. An empty list restricts nothing."""

    sirets: Annotated[tuple[Annotated[Siret, AfterValidator(_with_its_check_digit)], ...], at_most(5_000)] = (
        Field(default=(), max_length=5_000)
    )


class QuestionRequest(Question, extra="forbid"):
    """A question to ask at enrolment. An ``adjustment`` has our id and words, whatever is given."""

    @model_validator(mode="before")
    @classmethod
    def _built_in(cls, given: Any) -> Any:
        is_built_in = isinstance(given, Mapping) and given.get("kind") == QuestionKind.ADJUSTMENT
        return {**given, **_ADJUSTMENT} if is_built_in else given


_ADJUSTMENT = {
    "question_id": "amenagement",
    "label": "De quel aménagement avez-vous besoin pour participer ?",
}


class TrainerRequest(ServiceCommand):
    """A trainer: a name that is shown, and an address only for their own letter."""

    name: Name
    email: Email | None = None


def _each_once(trainers: tuple[TrainerRequest, ...]) -> tuple[TrainerRequest, ...]:
    keys = [trainer.email.lower() if trainer.email else trainer.name for trainer in trainers]
    if len(set(keys)) < len(keys):
        raise ValueError("somebody is named twice")
    return trainers


class PrerequisiteRequest(ServiceCommand):
    """The offer whose certificate is required."""

    offer_id: Slug
    title: Line | None = Field(default=None, description="Ignored: the offer has the format.")


class SessionChange(ServiceCommand):
    """A change of a session. Fields left out stay.

    Only ``capacity`` (unlimited), ``minimum``, ``quota_per_authority``, ``venue``, ``directions``,
    ``join_url``, ``prerequisite``, ``evaluation_url``, ``summary`` and ``reference`` (none) may be null.
    """

    reference: Reference | None = None
    title: Line | None = None
    enrolment_opens_at: Instant | None = None
    enrolment_closes_at: Instant | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    timezone: Timezone | None = None
    modules: Annotated[tuple[ModuleRequest, ...] | None, at_most(100)] = Field(default=None, max_length=100)
    capacity: SeatCount | None = None
    minimum: int | None = Field(default=None, ge=1, le=1_000_000)
    waiting_list: WaitingList | None = None
    offer_hold_hours: int | None = Field(default=None, ge=1, le=24 * 60)
    approval: ApprovalPolicy | None = None
    audience: AudienceRequest | None = None
    reserved_seats: Annotated[tuple[ReservedSeatsRequest, ...] | None, at_most(100)] = Field(
        default=None, max_length=100
    )
    quota_per_authority: int | None = Field(default=None, ge=1, le=1_000_000)
    venue: Line | None = None
    directions: Line | None = Field(default=None, description="How to get to the venue.")
    join_url: Url | None = None
    questions: Annotated[tuple[QuestionRequest, ...] | None, at_most(MAX_QUESTIONS)] = Field(
        default=None,
        max_length=MAX_QUESTIONS,
        description="The questions to agents who enrol. The list replaces the former list.",
    )
    prerequisite: PrerequisiteRequest | None = None
    evaluation_url: Url | None = Field(
        default=None, description="The address of the evaluation form. Only letters show it."
    )
    summary: Paragraph | None = None
    experts: Annotated[tuple[Name, ...] | None, at_most(20)] = Field(default=None, max_length=20)
    trainers: Annotated[
        Annotated[tuple[TrainerRequest, ...], AfterValidator(_each_once)] | None, at_most(MAX_TRAINERS)
    ] = Field(
        default=None,
        max_length=MAX_TRAINERS,
        description=(
            "The speakers and teachers, each once. The list replaces the former list. Only the "
            "organiser sees addresses."
        ),
    )

    @field_validator(*NEVER_NULL, mode="before")
    @classmethod
    def _left_out_or_given(cls, value: object) -> object:
        return not_null(value)

    def given(self) -> dict[str, Any]:
        plan = {name: getattr(self, name) for name in self.model_fields_set if name in _PLAN_FIELDS}
        if self.modules is not None:
            plan["modules"] = tuple(Module(**module.model_dump()) for module in self.modules)
        if self.reserved_seats is not None:
            plan["reserved_seats"] = tuple(
                ReservedSeats(**reserved.model_dump()) for reserved in self.reserved_seats
            )
        if self.questions is not None:
            plan["questions"] = tuple(Question(**question.model_dump()) for question in self.questions)
        if self.audience is not None:
            plan["audience"] = Audience(**self.audience.model_dump())
        if self.trainers is not None:
            plan["trainers"] = tuple(Trainer(uuid4(), named.name, named.email) for named in self.trainers)
        if self.prerequisite is not None:
            plan["prerequisite"] = Prerequisite(**self.prerequisite.model_dump())
        return plan

    def apply_to(self, plan: Plan) -> Plan:
        """Known trainers keep their id."""
        given = self.given()
        if "trainers" in given:
            given["trainers"] = tuple(_known_or_new(trainer, plan.trainers) for trainer in given["trainers"])
        return replace(plan, **given)

    def present(self, shown: Presentation) -> Presentation:
        if "summary" in self.model_fields_set:
            shown = replace(shown, summary=self.summary)
        return shown if self.experts is None else replace(shown, experts=self.experts)

    def names(self, session: Session) -> Session:
        given = "reference" in self.model_fields_set
        return replace(session, reference=self.reference) if given else session


def _known_or_new(named: Trainer, before: Sequence[Trainer]) -> Trainer:
    known = (trainer for trainer in before if trainer.is_still(named))
    return replace(named, trainer_id=next(known, named).trainer_id)


_PLAN_FIELDS = frozenset(SessionChange.model_fields) - {"summary", "experts", "reference"}


class NewSession(SessionChange):
    """A new session. Fields left out are as in its offer."""

    offer_id: Slug
    starts_at: Instant
    ends_at: Instant

    def under(self, offer: Offer, *, opens_at: datetime) -> Plan:
        terms = {name: getattr(offer.terms, name) for name in Terms.model_fields}
        days = terms.pop("closes_days_before")
        zone = self.timezone or offer.terms.timezone
        opening = {
            "enrolment_opens_at": opens_at,
            "enrolment_closes_at": days_before(self.starts_at, days, zone),
        }
        plan = Plan(**{"title": offer.title} | terms | opening | self.given())
        return plan if "minimum" in self.model_fields_set else _within_capacity(plan)


def _within_capacity(plan: Plan) -> Plan:
    """With fewer seats than the offer's minimum, all seats are needed."""
    if plan.minimum is None or plan.capacity is None:
        return plan
    return replace(plan, minimum=min(plan.minimum, plan.capacity) or None)


class SessionDraft(NewSession):
    """A new session. Fields left out are as in the offer; ``organiser`` is the token's delegation."""

    organiser: Delegation | None = None
    enrolment_opens_at: Instant

    def plan_under(self, offer: Offer) -> Plan:
        return self.under(offer, opens_at=self.enrolment_opens_at)


class Cancellation(ServiceCommand):
    """A text for everybody, in letters and on the session's page; it names nobody and has no link."""

    reason: Annotated[Remark, AfterValidator(check_name), Field(json_schema_extra=NOT_IN_NAME)] | None = None


class SessionCopy(ServiceCommand):
    """A new draft with all fields of a session; its dates move with ``starts_at``, on local clocks."""

    starts_at: Instant
    title: Line | None = None


class TemplateRequest(ServiceCommand):
    """The name of a session as a template; null removes it."""

    template_name: Annotated[Line, Field(max_length=100)] | None = None
