"""Times are wall-clock times of the form's zone.

Only changed fields are requested, so that a form never rounds a date or rewrites the past. An empty start or
end of the session is that of its séances: a session that meets once has a séance without a title.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.catalogue.pages import form_errors, form_rows
from services.catalogue.rules.sessions import Plan, ShownSession, Trainer
from services.catalogue.rules.venues import parts_of
from services.catalogue.service.session_fields import OF_NEW, SESSION_FIELDS, FieldKind, of_kind
from shared.events.catalogue import Audience, Question
from shared.events.vocabulary import Delegation, Function
from shared.events.zones import zone_named
from shared.web.form_errors import FormError
from shared.web.forms import moment_in, typed_moment

DATES = of_kind(FieldKind.MOMENT)
_SPAN = ("starts_at", "ends_at")
FIELDS = frozenset(SESSION_FIELDS) - frozenset(of_kind(FieldKind.PART))
_KINDS = {
    **{name: field.kind for name, field in SESSION_FIELDS.items()},
    "release_at": FieldKind.MOMENT,
    "seats": FieldKind.NUMBER,
    "kept_days": FieldKind.NUMBER,
    "choices": FieldKind.NAMES,
}
ADDRESS = ("street", "postal_code", "commune")
"""The form has a venue in parts; ``venue`` is the name of the place there."""
ORDER = (*SESSION_FIELDS, *ADDRESS)
UNLIMITED = "illimite"
SIRETS = "audience-sirets"
BOXES = frozenset(
    [f"audience-functions-{function.value}" for function in Function]
    + [f"audience-delegations-{delegation.value}" for delegation in Delegation]
)
"""A browser does not send an unticked box."""
_TICKED = "oui"
_SHOWN = FIELDS - frozenset(OF_NEW)


@dataclass(frozen=True, slots=True)
class Typed:
    fields: dict[str, Any]
    errors: dict[str, FormError]


def shown(session: ShownSession) -> dict[str, str]:
    plan = session.plan

    def wall_clock(moment: datetime) -> str:
        return typed_moment(moment, plan.timezone)

    def seance(title: str, starts_at: datetime, ends_at: datetime) -> form_rows.FormRow:
        first, (last, _, end) = wall_clock(starts_at), wall_clock(ends_at).partition("T")
        last_day = "" if first.startswith(last) else last
        return {"title": title, "starts_at": first, "ends_at": end, "last_day": last_day}

    modules = [
        seance(row.get("title", ""), row["starts_at"], row["ends_at"]) for row in _exact(plan, "modules")
    ]
    derived = {name for name, moment in _span(_exact(plan, "modules")) if moment == getattr(plan, name)}
    reserved: list[form_rows.FormRow] = [
        {
            "delegation": reserved.delegation,
            "seats": str(reserved.seats),
            "release_at": wall_clock(reserved.release_at),
        }
        for reserved in plan.reserved_seats
    ]
    return {
        **{name: _text(name, session.value_of(name), plan.timezone) for name in ORDER if name in _SHOWN},
        **dict.fromkeys(derived, ""),
        **_in_parts(plan.venue or ""),
        **({UNLIMITED: _TICKED} if plan.capacity is None else {}),
        **form_rows.named(modules, "modules"),
        **form_rows.named(reserved, "reserved_seats"),
        **form_rows.named([_shown_question(question) for question in plan.questions], "questions"),
        **shown_audience(plan.audience),
    }


def empty() -> dict[str, str]:
    return dict.fromkeys((*FIELDS, *ADDRESS, SIRETS), "")


def _in_parts(venue: str) -> dict[str, str]:
    parts = parts_of(venue)
    return {"venue": parts.name, **{part: getattr(parts, part) for part in ADDRESS}}


def _whole_venue(form: Mapping[str, str]) -> str:
    name, street, code, commune = (form.get(part, "").strip() for part in ("venue", *ADDRESS))
    return ", ".join(part for part in (name, street, f"{code} {commune}".strip()) if part)


_POSTAL_CODE = re.compile(r"[0-9]{5}")


def _shown_trainer(trainer: Trainer) -> str:
    return trainer.name if trainer.email is None else f"{trainer.name} <{trainer.email}>"


def _trainer(line: str) -> dict[str, str]:
    name, bracket, rest = line.partition("<")
    return {"name": name.strip(), "email": rest.strip().removesuffix(">")} if bracket else {"name": line}


def _shown_question(question: Question) -> form_rows.FormRow:
    return {
        "question_id": question.question_id,
        "kind": question.kind.value,
        "label": question.label,
        "choices": "\n".join(question.choices),
        "required": _TICKED if question.required else "",
        **{function.value: _TICKED if function in question.functions else "" for function in Function},
        "kept_days": str(question.kept_days),
    }


def shown_audience(audience: Audience) -> dict[str, str]:
    return {
        SIRETS: "\n".join(audience.sirets),
        **{f"audience-functions-{function.value}": _TICKED for function in audience.functions},
        **{f"audience-delegations-{delegation}": _TICKED for delegation in audience.delegations},
    }


def kept(form: Mapping[str, str], stored: Mapping[str, str]) -> dict[str, str]:
    def was_there(name: str) -> bool:
        group = form_rows.group_of(name)
        if group is not None:
            return form_rows.used(form, group) is not None
        return _sent_with(name) in form

    return {name: text for name, text in stored.items() if not was_there(name)} | {
        name: text for name, text in form.items() if is_field(name)
    }


def differing(values: Mapping[str, str], stored: Mapping[str, str]) -> list[str]:
    names = [name for name in (*stored, *values) if name in FIELDS | {*ADDRESS, UNLIMITED}]
    found = [name for name in dict.fromkeys(names) if values.get(name, "") != stored.get(name, "")]
    found += [
        group
        for group in form_rows.ROWS
        if (form_rows.used(values, group) or []) != (form_rows.used(stored, group) or [])
    ]
    return found if audience(values) == audience(stored) else [*found, "audience"]


def unfolded(values: Mapping[str, str], errors: Collection[str], button: str) -> frozenset[str]:
    """Return the parts to show at once: used, wrong or requested by the ``button``."""
    used = {group for group in form_rows.ROWS if form_rows.used(values, group) or group in button}
    if any(audience(values).values()):
        used.add("audience")
    return frozenset(used | {name.partition("-")[0] for name in errors})


def beside_their_field(errors: Mapping[str, FormError], values: Mapping[str, str]) -> dict[str, FormError]:
    """Show an error of the session's start or end at the séance that gives it."""
    last = max(len(form_rows.used(values, "modules") or []) - 1, 0)
    places = {"starts_at": "modules-0-starts_at", "ends_at": f"modules-{last}-ends_at"}
    found = {name: error for name, error in errors.items() if values.get(name, "") or name not in places}
    if not any(name.startswith("modules") for name in found):
        found |= {places[name]: error for name, error in errors.items() if name not in found}
    return found


def is_field(name: str) -> bool:
    return (
        name in FIELDS
        or name in BOXES
        or name in (*ADDRESS, UNLIMITED, SIRETS)
        or form_rows.group_of(name) is not None
    )


def _sent_with(name: str) -> str:
    return SIRETS if name in BOXES else "capacity" if name == UNLIMITED else name


def read(
    form: Mapping[str, str], before: Mapping[str, str], *, timezone: str, plan: Plan | None = None
) -> Typed:
    """``before`` has the form's fields when it showed ``plan``. Return the differences."""
    texts = {name: form[name].strip() for name in FIELDS if name in form}
    if "venue" in texts:
        texts["venue"] = _whole_venue(form)
    if "venue" in before:
        before = {**before, "venue": _whole_venue(before)}
    named = zone_named(texts.get("timezone", ""))
    zone = timezone if named is None else named.key  # otherwise each date would have an error too
    moved = "timezone" in texts and texts["timezone"] != before.get("timezone")
    typed = Typed({}, {})
    if (code := form.get("postal_code", "").strip()) and not _POSTAL_CODE.fullmatch(code):
        typed.errors["postal_code"] = FormError("postal_code")
    for name, text in texts.items():
        # In another zone the same figures mean another instant.
        if text != before.get(name, "").strip() or (moved and name in DATES and text):
            _read_field(name, text, zone, typed, shown=name in before)
    _read_capacity(form, before, typed)
    for group in form_rows.ROWS:
        stored, sent = form_rows.used(before, group) or [], form_rows.used(form, group)
        if sent is None:
            continue
        exact = [] if moved or plan is None else _exact(plan, group)
        known = list(zip(stored, exact, strict=False))
        errors: dict[str, FormError] = {}
        rows = [_read_row(f"{group}-{number}", row, zone, known, errors) for number, row in enumerate(sent)]
        if group == "modules":
            filled = [(bool(texts.get(name)), bool(before.get(name))) for name in _SPAN]
            if sent != stored or moved or any(now is not was for now, was in filled):
                typed.errors.update(errors)
                _take_dates(rows, texts, typed, plan)
        elif sent != stored or (moved and sent):
            typed.errors.update(errors)
            typed.fields[group] = rows
    if SIRETS in form and audience(form) != audience(before):
        typed.fields["audience"] = audience(form)
    return typed


def _read_field(name: str, text: str, zone: str, typed: Typed, *, shown: bool) -> None:
    """An empty field is left out, or an error if the form had ``shown`` a value."""
    if text or SESSION_FIELDS[name].may_be_empty:
        try:
            typed.fields[name] = _value(name, text, zone)
        except ValueError:
            typed.errors[name] = form_errors.unreadable(name)
    elif shown:
        typed.errors[name] = form_errors.REQUIRED


def _take_dates(
    rows: list[dict[str, Any]], texts: Mapping[str, str], typed: Typed, plan: Plan | None
) -> None:
    """Séances give the session its dates, unless they are typed."""
    derived = [name for name in _SPAN if texts.get(name) == ""]
    span = dict(_span(rows))
    for name in derived:
        typed.errors.pop(name, None)
        if not rows:
            typed.errors[name] = form_errors.REQUIRED
        elif name in span and (plan is None or _minute(span[name]) != _minute(getattr(plan, name))):
            typed.fields[name] = span[name]
    meets_once = len(rows) == 1 and "title" not in rows[0] and len(derived) == len(_SPAN)
    titled = [{"title": f"Séance {number}"} | row for number, row in enumerate(rows, 1)]
    modules = [] if meets_once else titled
    if modules != ([] if plan is None else [module.model_dump() for module in plan.modules]):
        typed.fields["modules"] = modules


def _span(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, datetime]]:
    """Return the first start and the last end, if every row has both."""
    if not rows or any(name not in row for row in rows for name in _SPAN):
        return []
    starts, ends = ([row[name] for row in rows] for name in _SPAN)
    return list(zip(_SPAN, (min(starts), max(ends)), strict=True))


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _exact(plan: Plan, group: str) -> list[dict[str, Any]]:
    rows = [row.model_dump() for row in getattr(plan, group)]
    return rows or ([{name: getattr(plan, name) for name in _SPAN}] if group == "modules" else [])


def _read_capacity(form: Mapping[str, str], before: Mapping[str, str], typed: Typed) -> None:
    if form.get(UNLIMITED) == _TICKED:
        typed.errors.pop("capacity", None)
        if before.get(UNLIMITED) != _TICKED:
            typed.fields["capacity"] = None
        else:
            typed.fields.pop("capacity", None)
    elif before and "capacity" in form and not form["capacity"].strip():
        typed.errors["capacity"] = FormError("seats_or_unlimited")


def _read_row(
    row_name: str,
    row: form_rows.FormRow,
    zone: str,
    known: Sequence[tuple[form_rows.FormRow, dict[str, Any]]],
    errors: dict[str, FormError],
) -> dict[str, Any]:
    for stored, exact in known:
        if row == stored:
            return exact
    fields: dict[str, Any] = {}
    for name, text in _whole_moments(row).items():
        try:
            if text:
                fields[name] = _value(name, text, zone)
        except ValueError:
            errors[f"{row_name}-{name}"] = form_errors.unreadable(name)
    if row_name.startswith("modules-"):
        errors |= {f"{row_name}-{name}": form_errors.REQUIRED for name in _SPAN if not row[name]}
        if f"{row_name}-starts_at" in errors and row["ends_at"] and not row["last_day"]:
            errors.pop(f"{row_name}-ends_at", None)  # it is on the day of the start
    return _question(fields) if row_name.startswith("questions-") else fields


def _whole_moments(row: form_rows.FormRow) -> form_rows.FormRow:
    if "last_day" not in row:
        return row
    day = row["last_day"] or row["starts_at"][:10]
    end = f"{day}T{row['ends_at']}" if day and row["ends_at"] else ""
    return {"title": row["title"], "starts_at": row["starts_at"], "ends_at": end}


def _question(fields: dict[str, Any]) -> dict[str, Any]:
    """A new question's id derives from its words."""
    functions = [function.value for function in Function if fields.pop(function.value, None)]
    if "question_id" not in fields and "label" in fields:
        digest = hashlib.blake2b(fields["label"].encode(), digest_size=4)
        fields["question_id"] = f"q-{digest.hexdigest()}"
    return fields | {"functions": functions, "required": fields.get("required") == _TICKED}


def audience(form: Mapping[str, str]) -> dict[str, list[str]]:
    def ticked(kind: str, codes: type[Function] | type[Delegation]) -> list[str]:
        return [code.value for code in codes if form.get(f"audience-{kind}-{code.value}") == _TICKED]

    typed = re.split(r"[\n;,]", form.get(SIRETS, ""))
    return {
        "functions": ticked("functions", Function),
        "delegations": ticked("delegations", Delegation),
        "sirets": [siret for line in typed if (siret := "".join(line.split()))],
    }


def _value(name: str, text: str, zone: str) -> Any:
    match _KINDS.get(name):
        case FieldKind.MOMENT:
            return moment_in(text, zone)
        case FieldKind.NUMBER:
            return int(text) if text else None
        case FieldKind.NAMES:
            return _lines(text)
        case FieldKind.TRAINERS:
            return [_trainer(line) for line in _lines(text)]
        case FieldKind.OFFER:
            return {"offer_id": text} if text else None
    return text or None


def _text(name: str, value: Any, zone: str) -> str:
    if value is None:
        return ""
    match _KINDS[name]:
        case FieldKind.MOMENT:
            return typed_moment(value, zone)
        case FieldKind.NAMES:
            return "\n".join(value)
        case FieldKind.TRAINERS:
            return "\n".join(_shown_trainer(trainer) for trainer in value)
        case FieldKind.OFFER:
            return str(value.offer_id)
    return str(value)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
