from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.notifier.letters.kinds import DetailRow, Letter, LetterDetails, LetterType, rows_of
from services.notifier.letters.timing import planning_of
from shared.events.catalogue import SessionState
from shared.events.seances import NumberedModule, NumberedSession, dropped
from shared.events.vocabulary import Status


@dataclass(frozen=True, slots=True)
class SessionConsequences:
    letters: tuple[Letter, ...] = ()
    reschedule: bool = False


def change_of(before: NumberedSession | None, after: NumberedSession, now: datetime) -> SessionConsequences:
    """Cancelled séances get their own letter, because a mail can do only one thing to a calendar."""
    if before is not None and after.version <= before.version:
        return SessionConsequences()
    if before is None or after.status is not before.status:
        return SessionConsequences(reschedule=True)
    if after.status is not Status.PUBLISHED or now >= after.ends_at:
        return SessionConsequences()
    details: dict[str, str | bool | Sequence[DetailRow] | None] = {}
    if _period(before) != _period(after):
        details |= {
            "starts_before": before.starts_at.isoformat(),
            "ends_before": before.ends_at.isoformat(),
            "timezone_before": before.timezone,
        }
    if after.modules and (rows := _moved_or_new(before, after)):
        details["modules"] = rows
    if before.venue != after.venue:
        details["venue_before"] = before.venue
    if before.join_url != after.join_url:
        details["link_changed"] = True
    called_for = [Letter(LetterType.SESSION_CHANGED, details)] if details else []
    gone = [{"title": module.title or after.title, **_row(module)} for module in dropped(before, after)]
    if gone:
        called_for.append(Letter(LetterType.MODULE_CANCELLED, {"modules": gone}))
    # An agent without a seat has no link, and no calendar entry to remove.
    to_who_waits = {name: value for name, value in details.items() if name != "link_changed"}
    if to_who_waits or gone:
        to_who_waits |= {"gone": gone} if gone else {}
        called_for.append(Letter(LetterType.SESSION_CHANGED_WAITING, to_who_waits))
    return SessionConsequences(tuple(called_for), reschedule=planning_of(before) != planning_of(after))


def _period(session: SessionState) -> tuple[datetime, datetime, str]:
    return session.starts_at, session.ends_at, session.timezone


def _moved_or_new(before: NumberedSession, after: NumberedSession) -> list[DetailRow]:
    old = {module.number: module for module in before.numbered_modules}
    return [
        _row(old[module.number]) if module.number in old else {"number": module.number}
        for module in after.numbered_modules
        if module.number not in old or _dates(old[module.number]) != _dates(module)
    ]


def _dates(module: NumberedModule) -> tuple[datetime, datetime]:
    return module.starts_at, module.ends_at


def _row(module: NumberedModule) -> DetailRow:
    return {
        "number": module.number,
        "starts_at": module.starts_at.isoformat(),
        "ends_at": module.ends_at.isoformat(),
    }


def modules_in(details: LetterDetails, name: str = "modules") -> list[NumberedModule]:
    return [
        NumberedModule(
            int(row["number"]),
            str(row["title"]),
            datetime.fromisoformat(str(row["starts_at"])),
            datetime.fromisoformat(str(row["ends_at"])),
        )
        for row in rows_of(details, name)
    ]


def modules_after(session: NumberedSession, moment: datetime) -> list[NumberedModule]:
    return [module for module in (*session.numbered_modules, *session.gone) if module.ends_at > moment]
