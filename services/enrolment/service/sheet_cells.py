import unicodedata

from shared.events.enrolment import Attendance
from shared.web.labels import ATTENDANCE

_OTHER_SPELLINGS = {
    "present": Attendance.ATTENDED,
    "presente": Attendance.ATTENDED,
    "absent": Attendance.ABSENT,
    "absente": Attendance.ABSENT,
    "excuse": Attendance.ABSENT_JUSTIFIED,
    "excusee": Attendance.ABSENT_JUSTIFIED,
}
NOT_SELECTED = "non retenu"
_NOT_SELECTED = frozenset({"non", NOT_SELECTED, "non retenue", "non retenus", "not selected"})


def attendance_of(cell: str) -> Attendance | None:
    """Return the attendance in any usual spelling, or None for an unknown spelling."""
    return _SPELLINGS.get(_bare(cell))


def says_not_selected(cell: str) -> bool:
    return _bare(cell) in _NOT_SELECTED


def _bare(cell: str) -> str:
    letters = unicodedata.normalize("NFKD", cell.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(plain.replace("_", " ").replace("-", " ").split())


_SPELLINGS = {
    **{_bare(label): attendance for attendance, label in ATTENDANCE.items()},
    **{_bare(attendance.value): attendance for attendance in Attendance},
    **_OTHER_SPELLINGS,
}
