from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime

from services.catalogue.rules.offers import Source, Terms
from services.catalogue.rules.resources import Kind
from shared.events.catalogue import Audience, Question
from shared.events.vocabulary import Delegation, Format, Line, Name, Paragraph, Slug, Url


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sourced(_Strict):
    source: Source
    choices: tuple[str, ...] = ()


class AudienceEntry(Audience, extra="forbid"):
    pass


class TermsEntry(Terms, extra="forbid"):
    audience: AudienceEntry = AudienceEntry()


class ModuleEntry(_Strict):
    title: Line
    starts_at: NaiveDatetime
    ends_at: NaiveDatetime


class ReservedSeatsEntry(_Strict):
    delegation: Delegation
    seats: int = Field(ge=1)
    release_at: NaiveDatetime


class SessionEntry(Sourced, TermsEntry, extra="forbid"):
    """``key`` never changes: the session's id derives from it and from the offer's id."""

    key: Slug
    organiser: Delegation
    title: Line | None = None
    summary: Paragraph | None = None
    experts: tuple[Name, ...] = ()
    enrolment_opens_at: NaiveDatetime
    enrolment_closes_at: NaiveDatetime | None = None
    starts_at: NaiveDatetime
    ends_at: NaiveDatetime
    modules: tuple[ModuleEntry, ...] = ()
    reserved_seats: tuple[ReservedSeatsEntry, ...] = ()
    venue: Line | None = None
    join_url: Url | None = None
    questions: tuple[Question, ...] = ()


class OfferEntry(Sourced):
    offer_id: Slug
    format: Format
    title: Line
    summary: Paragraph
    themes: tuple[Slug, ...] = ()
    terms: TermsEntry = TermsEntry()
    sessions: tuple[SessionEntry, ...] = ()


class ResourceEntry(Sourced):
    key: Slug
    kind: Kind
    title: Line
    summary: Paragraph | None = None
    url: Url
    themes: tuple[Slug, ...] = ()
    published_at: NaiveDatetime
    organiser: Delegation | None = None
    session: str | None = Field(default=None, description="offer_id/key of the session it recorded.")


class ThemeEntry(_Strict):
    theme: Slug
    title: Line


class OfferFile(_Strict):
    themes: tuple[ThemeEntry, ...] = ()
    offers: tuple[OfferEntry, ...] = ()
    resources: tuple[ResourceEntry, ...] = ()
