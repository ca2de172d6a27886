import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from services.catalogue.pages import form_errors, form_rows, session_form
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.refusals import RefusedByRule
from services.catalogue.rules.series import MOST, SeriesSession
from services.catalogue.service.commands import SessionDraft
from services.catalogue.service.series import SeriesRow
from shared.events.zones import PARIS, zone_named, zone_of
from shared.web.form_errors import FormError
from shared.web.forms import moment_in

TOWN = "{ville}"
"""The town replaces this in a title. A title without it ends with the town."""
PUBLISHED = "publier"
TICKED = "oui"
_ROW_FIELDS = {
    "town": "town",
    "title": "town",
    "venue": "venue",
    "organiser": "delegation",
    "capacity": "capacity",
}
ORDER = ("offer_id", "title", "towns", *session_form.ORDER[4:])


@dataclass(frozen=True, slots=True)
class TypedSeries:
    rows: list[SeriesRow] = field(default_factory=list)
    errors: dict[str, FormError] = field(default_factory=dict)


def kept(form: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    values = session_form.kept(form, stored)
    return values | ({PUBLISHED: form[PUBLISHED]} if form.get(PUBLISHED) == TICKED else {})


def digest(values: Mapping[str, str]) -> str:
    typed = sorted((name, text.strip()) for name, text in values.items() if text.strip())
    return hashlib.blake2b(repr(typed).encode(), digest_size=16).hexdigest()


def read(form: Mapping[str, str], offers: Sequence[Offer], delegation: str | None) -> TypedSeries:
    rows = form_rows.used(form, "towns") or []
    typed = TypedSeries()
    if not rows:
        typed.errors["towns"] = FormError("towns_missing")
    elif len(rows) > MOST:
        typed.errors["towns"] = FormError("towns", MOST)
    else:
        chosen = next((offer for offer in offers if offer.offer_id == form.get("offer_id")), None)
        for number, row in enumerate(rows):
            common = _Common(form, chosen, delegation or row["delegation"])
            found = _read_row(common, row)
            if isinstance(found, SeriesRow):
                typed.rows.append(found)
            else:
                for name, error in of_row(f"towns-{number}", row, found).items():
                    typed.errors.setdefault(name, error)
    return typed


@dataclass(frozen=True, slots=True)
class _Common:
    form: Mapping[str, str]
    offer: Offer | None
    organiser: str

    @property
    def zone(self) -> str:
        typed = zone_named(self.form.get("timezone", "").strip())
        if typed is not None:
            return typed.key
        return zone_of(self.organiser) if self.organiser else PARIS


def _read_row(common: _Common, row: form_rows.FormRow) -> SeriesRow | dict[str, FormError]:
    typed = session_form.read(_whole(common, row), {}, timezone=common.zone)
    errors = dict(typed.errors)
    if not row["town"]:
        errors["town"] = form_errors.REQUIRED
    if not common.organiser:
        errors["organiser"] = form_errors.REQUIRED
    starts_at: datetime | None = None
    if row["starts_at"]:
        try:
            starts_at = moment_in(row["starts_at"], common.zone)
        except ValueError:
            errors["starts_at"] = FormError("starts_at")
    try:
        draft = SessionDraft.model_validate(typed.fields)
    except ValidationError as error:
        return form_errors.of_request(error) | errors
    return errors or SeriesRow(draft, starts_at)


def _whole(common: _Common, row: form_rows.FormRow) -> dict[str, str]:
    title = common.form.get("title", "").strip() or ("" if common.offer is None else common.offer.title)
    town = row["town"]
    titled = title.replace(TOWN, town) if TOWN in title else f"{title} – {town}"
    zone = common.form.get("timezone", "").strip() or common.zone
    own = {"title": titled if title else "", "organiser": common.organiser, "timezone": zone}
    whole = {**common.form, **own}
    in_common = whole.get("venue", "").strip() or whole.get("join_url", "").strip()
    if row["venue"] or not in_common:  # without a place the town is the place
        whole["venue"] = _place(row["venue"], town)
    if row["capacity"]:
        whole["capacity"] = row["capacity"]
        whole.pop(session_form.UNLIMITED, None)
    whole.pop("reference", None)
    return whole


def _place(venue: str, town: str) -> str:
    """Pages and letters read the town from the place."""
    if not venue or re.search(rf"\b{re.escape(town)}\b", venue, re.IGNORECASE):
        return venue or town
    return f"{venue}, {town}"


def of_row(name: str, row: form_rows.FormRow, errors: Mapping[str, FormError]) -> dict[str, FormError]:
    found: dict[str, FormError] = {}
    for field_name, error in errors.items():
        own = "starts_at" if field_name in session_form.DATES else _ROW_FIELDS.get(field_name, "")
        at_row = own in ("delegation", "town") or (own and row[own])
        found.setdefault(f"{name}-{own}" if at_row else field_name, error)
    return found


def refused(
    form: Mapping[str, str], sessions: Sequence[SeriesSession | RefusedByRule]
) -> dict[str, FormError]:
    rows = form_rows.used(form, "towns") or []
    errors: dict[str, FormError] = {}
    for number, (row, session) in enumerate(zip(rows, sessions, strict=True)):
        if isinstance(session, RefusedByRule):
            found = form_errors.of_rules(session.violations)
            for field_name, error in of_row(f"towns-{number}", row, found).items():
                errors.setdefault(field_name, error)
    return errors
