"""What may be requested of the service: JSON, forms and sheets all become these."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from stdnum.fr import siret

from services.catalogue.rules.lifecycle import days_before
from services.catalogue.rules.offers import MADE_HERE, Offer, Terms
from services.catalogue.rules.resources import Resource
from services.catalogue.rules.sessions import Plan, Presentation, Session, Trainer
from shared.events.catalogue import (
    MAX_QUESTIONS,
    MAX_TRAINERS,
    Audience,
    BespokeAnswer,
    Module,
    Prerequisite,
    Question,
    ReservedSeats,
    ResourceKind,
)
from shared.events.names import NOT_IN_NAME, check_name
from shared.events.vocabulary import (
    ApprovalPolicy,
    Contact,
    Delegation,
    Email,
    Format,
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
        description="The organiser's own name for it, unique among theirs; nobody else sees it. At most 64 "
        "letters without accents, digits, points, hyphens, slashes, underscores; first a letter or a digit."
    ),
]
"""Nothing that a spreadsheet runs begins like it."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModuleRequest(_Request):
    """A séance."""

    title: Line
    starts_at: Instant
    ends_at: Instant


class ReservedSeatsRequest(_Request):
    """Seats for one delegation's agents, until ``release_at``."""

    delegation: Delegation
    seats: int = Field(ge=1, le=1_000_000)
    release_at: Instant


def _with_its_check_digit(typed: str) -> str:
    if not siret.is_valid(typed):
        raise ValueError(f"{typed} is not a SIRET: its check digit is wrong")
    return typed


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("may be left out, but not null")
    return value


class AudienceRequest(Audience, extra="forbid"):
    """Who may enrol. An empty list restricts nothing."""

    sirets: Annotated[tuple[Annotated[Siret, AfterValidator(_with_its_check_digit)], ...], at_most(5_000)] = (
        Field(default=(), max_length=5_000)
    )


class QuestionRequest(Question, extra="forbid"):
    """A question to ask at enrolment. Of an ``adjustment`` id and words are ours, whatever is given."""

    @model_validator(mode="before")
    @classmethod
    def _built_in(cls, given: Any) -> Any:
        is_built_in = isinstance(given, Mapping) and given.get("kind") == QuestionKind.ADJUSTMENT
        return {**given, **_ADJUSTMENT} if is_built_in else given


_ADJUSTMENT = {
    "question_id": "amenagement",
    "label": "De quel aménagement avez-vous besoin pour participer ?",
}


class TrainerRequest(_Request):
    """Who speaks or teaches: a name that is shown, and an address that is not, for their own letter."""

    name: Name
    email: Email | None = None


def _each_once(trainers: tuple[TrainerRequest, ...]) -> tuple[TrainerRequest, ...]:
    keys = [trainer.email.lower() if trainer.email else trainer.name for trainer in trainers]
    if len(set(keys)) < len(keys):
        raise ValueError("somebody is named twice")
    return trainers


class PrerequisiteRequest(_Request):
    """The offer whose certificate is needed."""

    offer_id: Slug
    title: Line | None = Field(default=None, description="Not read: it is the offer's.")


class SessionChange(_Request):
    """What is to change of a session; what is left out stays as it is.

    Only ``capacity`` (unlimited), ``minimum``, ``quota_per_authority``, ``venue``, ``join_url``,
    ``prerequisite``, ``evaluation_url``, ``summary`` and ``reference`` (none) may be null.
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
    join_url: Url | None = None
    questions: Annotated[tuple[QuestionRequest, ...] | None, at_most(MAX_QUESTIONS)] = Field(
        default=None, max_length=MAX_QUESTIONS, description="What is asked of whoever enrols; all of them."
    )
    prerequisite: PrerequisiteRequest | None = None
    evaluation_url: Url | None = Field(
        default=None, description="Where who attended says what they thought of it, in letters alone."
    )
    summary: Paragraph | None = None
    experts: Annotated[tuple[Name, ...] | None, at_most(20)] = Field(default=None, max_length=20)
    trainers: Annotated[
        Annotated[tuple[TrainerRequest, ...], AfterValidator(_each_once)] | None, at_most(MAX_TRAINERS)
    ] = Field(
        default=None,
        max_length=MAX_TRAINERS,
        description="Who speaks or teaches; all of them, each once. Addresses are the organiser's alone.",
    )

    @field_validator(
        "title", "enrolment_opens_at", "enrolment_closes_at", "starts_at", "ends_at", "timezone", "modules",
        "waiting_list", "offer_hold_hours", "approval", "audience", "reserved_seats", "questions",
        "experts", "trainers",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _left_out_or_given(cls, value: object) -> object:
        return _not_null(value)

    def given(self) -> dict[str, Any]:
        """The fields of the plan that the request names, as the plan has them."""
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
        """The plan with what the request names. Who was a trainer already is the same one."""
        given = self.given()
        if "trainers" in given:
            given["trainers"] = tuple(_known_or_new(trainer, plan.trainers) for trainer in given["trainers"])
        return replace(plan, **given)

    def present(self, shown: Presentation) -> Presentation:
        """What is shown, with what the request names."""
        if "summary" in self.model_fields_set:
            shown = replace(shown, summary=self.summary)
        return shown if self.experts is None else replace(shown, experts=self.experts)

    def names(self, session: Session) -> Session:
        """The session with the reference that the request gives it, if it says so."""
        given = "reference" in self.model_fields_set
        return replace(session, reference=self.reference) if given else session


def _known_or_new(named: Trainer, before: Sequence[Trainer]) -> Trainer:
    known = (trainer for trainer in before if trainer.is_still(named))
    return replace(named, trainer_id=next(known, named).trainer_id)


_PLAN_FIELDS = frozenset(SessionChange.model_fields) - {"summary", "experts", "reference"}


class _NewSession(SessionChange):
    offer_id: Slug
    starts_at: Instant
    ends_at: Instant

    def under(self, offer: Offer, *, opens_at: datetime) -> Plan:
        """The plan: the request's fields over the offer's terms."""
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
    """The plan with the minimum of its offer, or all its seats where it has fewer."""
    if plan.minimum is None or plan.capacity is None:
        return plan
    return replace(plan, minimum=min(plan.minimum, plan.capacity) or None)


class SessionDraft(_NewSession):
    """A new session. What is left out is as the offer has it; ``organiser`` is the token's delegation."""

    organiser: Delegation | None = None
    enrolment_opens_at: Instant

    def plan_under(self, offer: Offer) -> Plan:
        """The plan: the request's fields over the offer's terms."""
        return self.under(offer, opens_at=self.enrolment_opens_at)


class BespokeSession(_NewSession):
    """The private session of an authority. Enrolment opens at once unless it says when.

    Who may enrol is not asked: the authority's agents, whom it nominates.
    """


class BespokeAnswerRequest(_Request):
    """What a delegation answers; with ``agreed``, the session that follows."""

    answer: BespokeAnswer
    advisor: Contact = Field(description="Whom the authority writes to.")
    message: Paragraph | None = None
    session: BespokeSession | None = None


class Cancellation(_Request):
    """What is said of it to everybody, in letters and on the session's page; nothing of anyone, no link."""

    reason: Annotated[Remark, AfterValidator(check_name), Field(json_schema_extra=NOT_IN_NAME)] | None = None


class SessionCopy(_Request):
    """A new draft with all that a session has; its dates move with ``starts_at``, as clocks show them."""

    starts_at: Instant
    title: Line | None = None


class TermsRequest(Terms, extra="forbid"):
    """What the sessions of an offer have unless they say otherwise. What is left out of a change stays."""

    closes_days_before: int = Field(
        default=0, ge=0, le=365, description="Days from enrolment's end to the start."
    )
    capacity: SeatCount | None = None
    offer_hold_hours: int = Field(default=48, ge=1, le=24 * 60)
    audience: AudienceRequest = AudienceRequest()

    def over(self, terms: Terms) -> Terms:
        """The terms with what the request names."""
        return Terms.model_validate(terms.model_dump() | self.model_dump(include=self.model_fields_set))


_Themes = Annotated[tuple[Slug, ...], at_most(20)]


def _not_reserved(offer_id: str) -> str:
    if offer_id == "nouvelle":
        raise ValueError("is the address of the form of a new offer")
    return offer_id


class OfferRequest(_Request):
    """A new offer, which all delegations may make sessions of."""

    offer_id: Annotated[Slug, AfterValidator(_not_reserved)] = Field(
        description="It stands in the address of its page, and never changes; not `nouvelle`."
    )
    format: Format
    title: Line
    summary: Paragraph
    themes: _Themes = Field(default=(), max_length=20)
    terms: TermsRequest = TermsRequest()

    def offer(self) -> Offer:
        """The offer that is requested."""
        return Offer(
            offer_id=self.offer_id,
            format=self.format,
            title=self.title,
            summary=self.summary,
            themes=self.themes,
            terms=self.terms.over(Terms()),
            source=MADE_HERE,
            choices=(),
        )


class OfferChange(_Request):
    """What is to change of an offer; what is left out stays. Nothing of it may be null.

    Its sessions keep the terms that they were made with. ``format`` changes only while it has no session.
    """

    format: Format | None = None
    title: Line | None = None
    summary: Paragraph | None = None
    themes: _Themes | None = Field(default=None, max_length=20)
    terms: TermsRequest | None = None

    @field_validator("format", "title", "summary", "themes", "terms", mode="before")
    @classmethod
    def _left_out_or_given(cls, value: object) -> object:
        return _not_null(value)

    def apply_to(self, offer: Offer) -> Offer:
        """The offer with what the request names."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"terms"}}
        terms = offer.terms if self.terms is None else self.terms.over(offer.terms)
        return replace(offer, **given, terms=terms)


class TemplateRequest(_Request):
    """The name by which a session is found as a template; None takes it away."""

    template_name: Annotated[Line, Field(max_length=100)] | None = None


class _ResourceRequest(_Request):
    title: Line
    url: Url
    summary: Paragraph | None = None
    themes: Annotated[tuple[Slug, ...], at_most(20)] = Field(default=(), max_length=20)
    organiser: Delegation | None = Field(
        default=None, description="Only for those who act everywhere, and without a session."
    )


class ResourceChange(_Request):
    """What is to be corrected of a resource; what is left out stays. Only ``summary`` (none) may be null."""

    title: Line | None = None
    url: Url | None = None
    summary: Paragraph | None = None
    themes: Annotated[tuple[Slug, ...] | None, at_most(20)] = Field(default=None, max_length=20)

    @field_validator("title", "url", "themes", mode="before")
    @classmethod
    def _left_out_or_given(cls, value: object) -> object:
        return _not_null(value)

    def apply_to(self, resource: Resource) -> Resource:
        """The resource with what the request names."""
        return replace(resource, **{name: getattr(self, name) for name in self.model_fields_set})


class ReplayRequest(_ResourceRequest):
    """A recording to open to everyone: of one of the catalogue's sessions, or of something else."""

    session_id: UUID | None = None


class ResourceRequest(_ResourceRequest):
    """A dossier documentaire or an e-communauté to open to everyone."""

    kind: ResourceKind
