import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from services.catalogue.pages import form_errors, session_form
from services.catalogue.pages.form_errors import WrongForm
from services.catalogue.rules.offers import LETTER_DAYS, Offer, Terms
from services.catalogue.rules.synonyms import plain
from services.catalogue.service.commands import OfferChange, OfferRequest, TermsRequest
from shared.web.form_errors import FormError

_TEXTS = ("format", "title", "summary")
_UNLIMITED = ("capacity", "minimum", "quota_per_authority")
_REQUIRED = (
    *("closes_days_before", "waiting_list", "offer_hold_hours", "approval", "timezone"),
    *LETTER_DAYS,
)
THEME = "theme-"
_TICKED = "oui"
ORDER = (
    *("title", "offer_id", "format", "summary", "themes"),
    *("capacity", "minimum", "quota_per_authority", "waiting_list", "offer_hold_hours", "approval"),
    *("closes_days_before", "timezone", *LETTER_DAYS, "audience"),
)


_Requested = TypeVar("_Requested", OfferRequest, OfferChange)


def shown(offer: Offer | None) -> dict[str, str]:
    terms = Terms() if offer is None else offer.terms
    values = dict.fromkeys(("offer_id", *_TEXTS), "")
    if offer is not None:
        values = {name: str(getattr(offer, name)) for name in values}
        values |= {f"{THEME}{theme}": _TICKED for theme in offer.themes}
    limits = {name: getattr(terms, name) for name in (*_UNLIMITED, *_REQUIRED)}
    values |= {name: "" if value is None else str(value) for name, value in limits.items()}
    return values | session_form.shown_audience(terms.audience)


def kept(form: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    if "title" not in form:
        return dict(stored)
    boxes = {name for name in stored if name.startswith(("audience-", THEME))}
    fields = {name: "" if name in boxes else text for name, text in stored.items()}
    return fields | {name: text for name, text in form.items() if is_field(name)}


def differing(values: Mapping[str, str], stored: Mapping[str, str]) -> list[str]:
    found = (
        "audience" if name.startswith("audience-") else "themes" if name.startswith(THEME) else name
        for name in {**stored, **values}
        if values.get(name, "") != stored.get(name, "")
    )
    return list(dict.fromkeys(found))


def is_field(name: str) -> bool:
    known = ("offer_id", *_TEXTS, *_UNLIMITED, *_REQUIRED, session_form.SIRETS)
    return name in known or name in session_form.BOXES or name.startswith(THEME)


def read_new(form: Mapping[str, str]) -> OfferRequest:
    fields, terms, errors = _read(form)
    fields["offer_id"] = form.get("offer_id", "").strip() or _slug(fields.get("title", "")) or "offre"
    return _validated(OfferRequest, fields, terms, errors)


def read_change(form: Mapping[str, str]) -> OfferChange:
    fields, terms, errors = _read(form)
    errors |= {name: form_errors.REQUIRED for name in _TEXTS if name not in fields}
    return _validated(OfferChange, fields, terms, errors)


def field_of(name: str) -> str:
    name = name.removeprefix("terms-")
    if name.startswith("themes"):
        return "themes"
    # A box of the audience is one of a list.
    return "-".join(name.split("-")[:2]) if name.startswith("audience-") else name


def _read(form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any], dict[str, FormError]]:
    fields: dict[str, Any] = {name: text for name in _TEXTS if (text := form.get(name, "").strip())}
    fields["themes"] = [
        name.removeprefix(THEME) for name, text in form.items() if name.startswith(THEME) and text == _TICKED
    ]
    terms: dict[str, Any] = {name: form.get(name, "").strip() or None for name in _UNLIMITED}
    terms |= {name: text for name in _REQUIRED if (text := form.get(name, "").strip())}
    terms["audience"] = session_form.audience(form)
    return fields, terms, {name: form_errors.REQUIRED for name in _REQUIRED if name not in terms}


def _validated(
    request: type[_Requested],
    fields: Mapping[str, Any],
    terms: Mapping[str, Any],
    errors: dict[str, FormError],
) -> _Requested:
    try:
        read = TermsRequest.model_validate(terms)
    except ValidationError as error:
        errors = form_errors.of_request(error) | errors
        read = TermsRequest()
    try:
        return form_errors.command(request, {**fields, "terms": read}, errors)
    except WrongForm as error:
        if "offer_id" in error.errors:
            raise WrongForm({**error.errors, "offer_id": FormError("slug")}) from error
        raise


def _slug(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", plain(title)))[:100].strip("-")
