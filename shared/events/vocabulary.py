"""The vocabulary of events: safe text, people, places, and enumerations.

A value that passes here can be stored, put in a mail header and shown. It has no control characters, no line
breaks, and no marks that turn the direction of text. Unknown fields are ignored, so that a newer publisher
breaks no older consumer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, NamedTuple

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
)
from typing_extensions import TypeAliasType

from shared.events import names
from shared.events.topics import TOPICS, Topic
from shared.events.zones import zone_named

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""C0 and C1 controls and the two Unicode line separators, for a character class."""


def at_most(number: int) -> BeforeValidator:
    """Return a validator that refuses a longer list before it reads the items.

    ``max_length`` alone validates every item first and collects all errors: half a minute for two megabytes
    of ``{}``. It stays too, because the schema shows it.
    """

    def bounded(value: object) -> object:
        if isinstance(value, list | tuple) and len(value) > number:
            raise ValueError(f"Tuple should have at most {number} items after validation, not {len(value)}")
        return value

    return BeforeValidator(bounded)


_ONE_LINE = rf"^[^{CONTROL}]*$"
_MANY_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"

_LINE = StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=_ONE_LINE)

Line = Annotated[str, _LINE, AfterValidator(names.check_text), Field(json_schema_extra=names.NOT_IN_TEXT)]
"""Text on one line, 1 to 300 characters, no control characters: a title, a place."""

Name = TypeAliasType(
    "Name",
    Annotated[
        str,
        _LINE,
        AfterValidator(names.check_name),
        Field(
            description="The name of a person or an authority, 1 to 300 characters on one line: no link, "
            "address or domain, no invisible character, at most three marks on a letter, words of at most "
            "100 characters, and at most seven signs or spaces in a row.",
            json_schema_extra=names.NOT_IN_NAME,
        ),
    ],
)
"""The name of a person or an authority: a :data:`Line` that no mail program turns into a link."""

Paragraph = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=_MANY_LINES),
    AfterValidator(names.check_text),
    Field(json_schema_extra=names.NOT_IN_TEXT),
]
"""Text that may have line breaks, 1 to 4,000 characters."""

Remark = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=_MANY_LINES),
    AfterValidator(names.check_text),
    Field(json_schema_extra=names.NOT_IN_TEXT),
]
"""A few sentences that may have line breaks, 1 to 500 characters."""

MessageText = TypeAliasType(
    "MessageText",
    Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=_MANY_LINES),
        AfterValidator(names.check_name),
        Field(
            description="A message from one person to many, 1 to 2,000 characters, line breaks too: no link, "
            "address or domain, no invisible character, at most three marks on a letter, words of at most "
            "100 characters, and at most seven signs or spaces in a row.",
            json_schema_extra=names.NOT_IN_NAME,
        ),
    ],
)
"""Text that letters to many quote. A link has its own field, so that readers see where it leads."""

Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=254,
        pattern=rf'^[^\s@<>()\[\],;:\\"{CONTROL}]{{1,64}}@[^\s@<>()\[\],;:\\"{CONTROL}.]+(\.[^\s@<>()\[\],;:\\"{CONTROL}.]+)+$',
    ),
    AfterValidator(names.check_address),
    Field(json_schema_extra=names.NOT_IN_ADDRESS),
]
"""An address as RFC 5321 sends it, without quoted local parts or address literals; at most 254 characters."""

AgentId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
"""The portal's identifier of an agent: printable ASCII without spaces."""


def _issued(issuer: str, info: ValidationInfo) -> str:
    return issuer if info.context is None else str(info.context["issuer"])


IssuerName = Annotated[str, StringConstraints(max_length=60, pattern=r"^[a-z0-9-]*$")]
"""The issuer of agents' identifiers: a name in the registry of portals; empty in old events."""

Issuer = Annotated[
    IssuerName,
    AfterValidator(_issued),
    Field(validate_default=True),
]
"""In a request it is the issuer of the sending portal: the ``issuer`` of the validation's context.
"""

RequestSource = Annotated[
    Line | None, Field(description="The ce_source of that request; null: no portal sent it.")
]
"""The portal of the request that an event answers: the ``request_id`` alone does not say."""

Siret = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{14}$"), Field(description="Its check digit must fit (Luhn).")
]
"""14 digits. The check digit is checked where a request is admitted or typed, not by the contract."""

Slug = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
"""Lower-case words joined by hyphens: an offer, a theme, a delegation."""

PortalName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=60)]

Url = Annotated[
    str,
    StringConstraints(max_length=2000, pattern=rf'^https?://[^\s<>"{CONTROL}]+$'),
    AfterValidator(names.check_address),
    Field(json_schema_extra=names.NOT_IN_ADDRESS),
]
"""An absolute http or https address."""


def _timezone(name: str) -> str:
    if zone_named(name) is None:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Paris")
    return name


Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_timezone)]
"""An IANA time zone name."""


EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""A date outside is a mistake, and would cost calendars of a thousand years."""


def _to_utc(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise ValueError("is not a moment between 2000 and 2100")
    return moment.astimezone(UTC)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime, AfterValidator(_to_utc), PlainSerializer(_rfc3339, return_type=str, when_used="json")
]
"""A moment between 2000 and 2100, RFC 3339 with an offset; kept and published in UTC."""

MAX_VERSION = 2**31 - 1
Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]
"""1, 2, 3 … per subject; ignore an older version than the known one."""

Count = Annotated[int, Field(ge=0, le=1_000_000)]
"""How many agents or seats."""

AtLeastOne = Annotated[int, Field(ge=1, le=1_000_000)]
"""A number of at least one, also a place in line."""


class Delegation(StrEnum):
    """The 18 regional delegations (13 and 5 overseas), INET and the four INSET."""

    AUVERGNE_RHONE_ALPES = "auvergne-rhone-alpes"
    BOURGOGNE_FRANCHE_COMTE = "bourgogne-franche-comte"
    BRETAGNE = "bretagne"
    CENTRE_VAL_DE_LOIRE = "centre-val-de-loire"
    CORSE = "corse"
    GRAND_EST = "grand-est"
    HAUTS_DE_FRANCE = "hauts-de-france"
    ILE_DE_FRANCE = "ile-de-france"
    NORMANDIE = "normandie"
    NOUVELLE_AQUITAINE = "nouvelle-aquitaine"
    OCCITANIE = "occitanie"
    PAYS_DE_LA_LOIRE = "pays-de-la-loire"
    PROVENCE_ALPES_COTE_D_AZUR = "provence-alpes-cote-d-azur"
    GUADELOUPE = "guadeloupe"
    GUYANE = "guyane"
    LA_REUNION = "la-reunion"
    MARTINIQUE = "martinique"
    MAYOTTE = "mayotte"
    INET = "inet"
    INSET_ANGERS = "inset-angers"
    INSET_DUNKERQUE = "inset-dunkerque"
    INSET_MONTPELLIER = "inset-montpellier"
    INSET_NANCY = "inset-nancy"


class Function(StrEnum):
    """An agent's function. The INET offer depends on it, never on the category."""

    AGENT = "agent"
    ENCADRANT = "encadrant"
    CHEF_DE_SERVICE = "chef_de_service"
    DIRIGEANT = "dirigeant"


class Format(StrEnum):
    """The formats that have sessions; resources, the sixth, have none."""

    MOOC = "mooc"
    WEBINAR = "webinar"
    LOCAL_EVENT = "local_event"
    BESPOKE = "bespoke"
    INET = "inet"


class Status(StrEnum):
    """The one decision about a session."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """Where the clock stands relative to a session's dates."""

    UPCOMING = "upcoming"
    RUNNING = "running"
    OVER = "over"


class EnrolmentWindow(StrEnum):
    """Where the clock stands relative to a session's enrolment dates."""

    NOT_YET_OPEN = "not_yet_open"
    OPEN = "open"
    CLOSED = "closed"


class WaitingList(StrEnum):
    """What happens when a session is full."""

    NONE = "none"
    AUTOMATIC = "automatic"
    OFFER = "offer"


class ApprovalPolicy(StrEnum):
    """The agreement that an agent needs before a seat."""

    NONE = "none"
    EMPLOYER = "employer"
    SELECTION = "selection"
    EMPLOYER_THEN_SELECTION = "employer_then_selection"

    @property
    def by_employer(self) -> bool:
        return self in (ApprovalPolicy.EMPLOYER, ApprovalPolicy.EMPLOYER_THEN_SELECTION)

    @property
    def by_selection(self) -> bool:
        return self in (ApprovalPolicy.SELECTION, ApprovalPolicy.EMPLOYER_THEN_SELECTION)


class QuestionKind(StrEnum):
    """The kind of answer that a question takes."""

    TEXT = "text"
    CHOICE = "choice"
    YES_NO = "yes_no"
    NUMBER = "number"
    ADJUSTMENT = "adjustment"
    """The built-in question: what an agent needs to take part, see :class:`Adjustment`."""


class Adjustment(StrEnum):
    """What an agent needs to take part: only the adjustment, never the reason or a status."""

    SIGN_LANGUAGE = "sign_language"
    LIVE_CAPTIONS = "live_captions"
    HEARING_LOOP = "hearing_loop"
    WHEELCHAIR_ACCESS = "wheelchair_access"
    LARGE_PRINT = "large_print"
    ACCESSIBLE_DOCUMENTS = "accessible_documents"
    CONTACT_ME = "contact_me"
    """Another need that the agent would rather discuss with the organiser."""


class ContractModel(BaseModel):
    """A frozen piece of an event. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Employer(ContractModel):
    """The local authority that an agent works for."""

    siret: Siret
    name: Name
    delegation: Slug = Field(description="Code of its regional delegation.")


@dataclass(frozen=True, slots=True)
class Limits:
    """The delegations and authorities whose agents a portal may act for. None: all."""

    delegations: frozenset[Delegation] | None = None
    sirets: frozenset[Siret] | None = None

    def allow(self, employer: Employer) -> bool:
        return (self.delegations is None or employer.delegation in self.delegations) and (
            self.sirets is None or employer.siret in self.sirets
        )


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class SendingPortal:
    """A portal's entry in the registry.

    ``unsigned``: on a trial, it need not sign.
    """

    portal: str
    issuer: str
    limits: Limits = NO_LIMITS
    unsigned: bool = False


class AgentKey(NamedTuple):
    """Identifies an agent: an identifier and its issuer. ``1001`` of two issuers is two agents."""

    issuer: str
    agent_id: str


class Agent(ContractModel):
    """A local civil servant, as the portal describes them. Only what is needed: never the grade."""

    agent_id: AgentId
    issuer: Issuer = Field(
        default="",
        description="The issuer of the agent_id, from the registry of portals, never from a portal.",
    )
    email: Email
    given_name: Name
    family_name: Name
    function: Function
    employer: Employer

    @property
    def key(self) -> AgentKey:
        return AgentKey(self.issuer, self.agent_id)


class Contact(ContractModel):
    """A person who is not the agent: a training officer, an advisor."""

    name: Name
    email: Email


def _without_nul(text: str) -> str:
    return text.replace("\x00", "")


class FieldProblem(ContractModel):
    """What is wrong with one field of a request, without its value."""

    pointer: Annotated[str, AfterValidator(_without_nul)] = Field(
        max_length=300, description="JSON pointer into the data; empty: the whole data."
    )
    message: Annotated[str, AfterValidator(_without_nul)] = Field(max_length=500)


class Event(ContractModel):
    """A fact on a topic. Subclasses say when it is published and what it never contains.

    ``TYPE`` is the CloudEvents type, ``TOPIC`` its topic. ``key`` orders it among other events.
    """

    TYPE: ClassVar[str]
    TOPIC: ClassVar[Topic]

    @property
    def key(self) -> str:
        """Events of one key keep their order. The key is also ``ce_subject``. See :data:`TOPICS`."""
        return str(getattr(self, TOPICS[self.TOPIC].key))

    @property
    def answer_key(self) -> str:
        return self.key

    @property
    def identity(self) -> str | None:
        """Two events of this type with the same identity are one event and get the same id.

        If it is published twice, even after a restore, consumers drop the second. None: each event is a new
        one.
        """
        return None
