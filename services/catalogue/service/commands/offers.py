from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from services.catalogue.rules.offers import MADE_HERE, Offer, Terms
from services.catalogue.service.commands.command import ServiceCommand, not_null
from services.catalogue.service.commands.sessions import AudienceRequest, SeatCount
from shared.events.vocabulary import Format, Line, Paragraph, Slug, at_most


class TermsRequest(Terms, extra="forbid"):
    """The defaults of an offer's sessions. A change keeps what it leaves out."""

    closes_days_before: int = Field(
        default=0, ge=0, le=365, description="Days between the end of enrolment and the start."
    )
    capacity: SeatCount | None = None
    offer_hold_hours: int = Field(default=48, ge=1, le=24 * 60)
    audience: AudienceRequest = AudienceRequest()

    def over(self, terms: Terms) -> Terms:
        return Terms.model_validate(terms.model_dump() | self.model_dump(include=self.model_fields_set))


_Themes = Annotated[tuple[Slug, ...], at_most(20)]


def _not_reserved(offer_id: str) -> str:
    if offer_id == "nouvelle":
        raise ValueError("is the address of the form of a new offer")
    return offer_id


class OfferRequest(ServiceCommand):
    """A new offer, from which all delegations may make sessions."""

    offer_id: Annotated[Slug, AfterValidator(_not_reserved)] = Field(
        description="Part of the address of the offer's page. It never changes, and is not `nouvelle`."
    )
    format: Format
    title: Line
    summary: Paragraph
    themes: _Themes = Field(default=(), max_length=20)
    terms: TermsRequest = TermsRequest()

    def offer(self) -> Offer:
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


class OfferChange(ServiceCommand):
    """A change of an offer. Fields left out stay; none may be null.

    Sessions keep the terms that they were made with, but follow the days on which letters leave. ``format``
    changes only while the offer has no session.
    """

    format: Format | None = None
    title: Line | None = None
    summary: Paragraph | None = None
    themes: _Themes | None = Field(default=None, max_length=20)
    terms: TermsRequest | None = None

    @field_validator("format", "title", "summary", "themes", "terms", mode="before")
    @classmethod
    def _left_out_or_given(cls, value: object) -> object:
        return not_null(value)

    def apply_to(self, offer: Offer) -> Offer:
        given = {name: getattr(self, name) for name in self.model_fields_set - {"terms"}}
        terms = offer.terms if self.terms is None else self.terms.over(offer.terms)
        return replace(offer, **given, terms=terms)
