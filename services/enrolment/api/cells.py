"""What sheets of organisers say of a state, and how what people write in their cells is understood."""

import unicodedata

from services.enrolment.rules.states import State
from shared.events.enrolment import Attendance
from shared.web.labels import ATTENDANCE

STATES = {
    State.ENROLLED: "inscription confirmée",
    State.ATTENDED: "présence enregistrée",
    State.ABSENT: "absence",
    State.ABSENT_JUSTIFIED: "absence justifiée",
    State.CERTIFIED: "attestation délivrée",
    State.OFFERED: "place proposée",
    State.WAITLISTED: "liste d’attente",
    State.PENDING_APPROVAL: "attend l’accord de l’employeur",
    State.PENDING_SELECTION: "attend la sélection",
    State.REFUSED: "refus",
    State.LAPSED: "proposition restée sans suite",
    State.WITHDRAWN: "désistement",
    State.SESSION_CANCELLED: "session annulée",
}

_SEEN = {
    "present": Attendance.ATTENDED,
    "presente": Attendance.ATTENDED,
    "absent": Attendance.ABSENT,
    "absente": Attendance.ABSENT,
    "excuse": Attendance.ABSENT_JUSTIFIED,
    "excusee": Attendance.ABSENT_JUSTIFIED,
}
_NOT_SELECTED = frozenset({"non", "non retenu", "non retenue", "non retenus", "not selected"})


def attendance_of(word: str) -> Attendance | None:
    """What a cell says of somebody's attendance, in one of the ways in which people write it."""
    bare = _bare(word)
    known = {_bare(said): seen for seen, said in ATTENDANCE.items()} | {
        _bare(seen.value): seen for seen in Attendance
    }
    return known.get(bare) or _SEEN.get(bare)


def says_not_selected(word: str) -> bool:
    """Whether a cell says, instead of a rank, that the candidate is not selected."""
    return _bare(word) in _NOT_SELECTED


def _bare(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word.casefold())
    plain = "".join(one for one in letters if not unicodedata.combining(one))
    return " ".join(plain.replace("_", " ").replace("-", " ").split())
