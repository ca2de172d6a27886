"""The refusal reasons: facts and texts of each. Pure.

Letters, sheets, pages, ``explain``, the example portal and ``docs/refusal-reasons.md`` read this entry.
Texts may name ``{opens}``, ``{closes}`` and ``{starts}`` (dates of the session, in French) and
``{prerequisite}`` (the offer that the session requires).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.events.vocabulary import Format


class Reason(StrEnum):
    """Why a request was refused. Each has a page that explains it: /problems/<reason>."""

    UNKNOWN_SESSION = "unknown_session"
    NOT_OPEN_YET = "not_open_yet"
    DEADLINE_PASSED = "deadline_passed"
    SESSION_FULL = "session_full"
    NOT_ELIGIBLE = "not_eligible"
    ALREADY_ENROLLED = "already_enrolled"
    SESSION_CANCELLED = "session_cancelled"
    APPROVAL_DENIED = "approval_denied"
    NOT_SELECTED = "not_selected"
    OVERLAPPING_SESSION = "overlapping_session"
    QUOTA_REACHED = "quota_reached"
    GROUP_DOES_NOT_FIT = "group_does_not_fit"
    NOT_NOMINATED = "not_nominated"
    NOT_ENROLLED = "not_enrolled"
    """The agent has no enrolment that the withdrawal or approval could concern (ADR 0004)."""
    PREREQUISITE_MISSING = "prerequisite_missing"
    """The agent has no certificate of the offer that the session requires."""
    NO_OFFER = "no_offer"
    """The agent holds no offer: none was made, or the agent has replied already (ADR 0007)."""
    ANSWER_MISSING = "answer_missing"
    """A required question of the session has no answer."""
    ANSWER_NOT_EXPECTED = "answer_not_expected"
    """The session does not ask this question of the agent, or does not accept this answer."""

    @property
    def refusal(self) -> "Refusal":
        return REFUSALS[self]


class DecidedBy(StrEnum):
    """Who or what decided a refusal."""

    RULES = "rules"
    EMPLOYER = "employer"
    ORGANISER = "organiser"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reason in one sentence, and one thing to do. After the close ``once_closed`` is the advice."""

    sentence: str
    advice: str
    once_closed: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The facts and texts of a refusal reason.

    ``label`` is French, for sheets and pages. ``explained`` is English, for operators and portal teams.
    ``letter`` is what the agent reads after a request for a seat. ``undecided`` replaces it if nobody decided
    in time; ``withdrawal``, ``offer`` and ``swap`` after a withdrawal, a reply to an offer, or a move to
    another session.
    """

    label: str
    explained: str
    letter: Explanation
    undecided: Explanation | None = None
    withdrawal: Explanation | None = None
    offer: Explanation | None = None
    swap: Explanation | None = None
    decided_by: DecidedBy = DecidedBy.RULES
    others_may_help: bool = False
    """Another session of the offer may accept the agent, so the letter suggests some."""
    lacks_seat: bool = False
    """The agent is eligible and no seat is free, so an organiser may enrol them above the capacity."""
    changes_nothing: bool = False
    """The request did not change the agent's situation, so subscribers and followers hear nothing."""


_OTHER_SESSIONS = "Consultez sur votre portail les autres sessions ouvertes à l’inscription."
_ASK_EMPLOYER = "Rapprochez-vous de votre responsable ou de votre service formation."
_CLOSED = f"Les inscriptions à cette session sont closes. {_OTHER_SESSIONS}"
_REPLAY = "Le replay du webinaire est en accès libre, sans inscription, dès sa mise en ligne."
_MOOC_IS_OVER = Explanation(
    "Ce Mooc est terminé : il n’est plus possible de s’en désister.", "Vous n’avez rien à faire."
)

_NOT_PUBLISHED = Explanation(
    "La session indiquée n’est pas publiée dans l’offre du CNFPT.",
    "Vérifiez la session sur votre portail, puis refaites votre demande.",
)

REFUSALS: Mapping[Reason, Refusal] = {
    Reason.UNKNOWN_SESSION: Refusal(
        label="session inconnue",
        explained="the session's event did not arrive in time",
        letter=Explanation(
            "La session demandée n’est pas publiée dans l’offre du CNFPT.",
            "Vérifiez la session sur votre portail, puis refaites votre demande.",
        ),
        withdrawal=_NOT_PUBLISHED,
        offer=_NOT_PUBLISHED,
    ),
    Reason.NOT_OPEN_YET: Refusal(
        label="inscriptions pas encore ouvertes",
        explained="received before enrolment opened",
        letter=Explanation(
            "Votre demande est arrivée avant l’ouverture des inscriptions, fixée au {opens}.",
            "Refaites votre demande à partir de cette date.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.DEADLINE_PASSED: Refusal(
        label="hors délai",
        explained="received after the deadline",
        others_may_help=True,
        letter=Explanation(
            "Les inscriptions sont closes : elles étaient ouvertes jusqu’au {closes}.",
            _OTHER_SESSIONS,
        ),
        withdrawal=Explanation(
            "La session a commencé le {starts} : il n’est plus possible de se désister.",
            "Si vous ne pouvez pas y participer, écrivez à l’adresse ci-dessous pour signaler votre absence.",
        ),
        offer=Explanation(
            "Votre réponse est arrivée après l’échéance : la place n’est plus réservée pour vous.",
            "Pour participer malgré tout, refaites une demande sur votre portail tant que les "
            "inscriptions sont ouvertes (jusqu’au {closes}). Si la session est complète, vous serez "
            "à la fin de la liste d’attente.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.SESSION_FULL: Refusal(
        label="session complète",
        explained="no seat was free for this agent, and there is no waiting list or it has ended",
        others_may_help=True,
        lacks_seat=True,
        letter=Explanation(
            "Toutes les places sont prises, et il n’y a pas, ou plus, de liste d’attente.",
            _OTHER_SESSIONS,
        ),
        swap=Explanation(
            "Aucune place n’y est libre : s’il y a une liste d’attente, changer de "
            "session n’y donne pas de place.",
            _OTHER_SESSIONS,
        ),
    ),
    Reason.NOT_ELIGIBLE: Refusal(
        label="hors du public visé",
        explained="the session is for another function, authority or delegation, or a move for another offer",
        letter=Explanation(
            "Cette session s’adresse à un autre public, défini par la fonction, l’employeur ou la "
            "délégation.",
            "Si votre situation a changé, signalez-le sur votre portail, puis refaites votre demande.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.ALREADY_ENROLLED: Refusal(
        label="inscription déjà en cours",
        explained="the agent had a live enrolment in the session",
        changes_nothing=True,
        letter=Explanation(
            "Vous avez déjà une demande en cours ou une place pour cette session : elle reste inchangée.",
            "Vous n’avez rien à faire.",
        ),
        offer=Explanation(
            "Vous avez déjà une place dans cette session : elle reste la vôtre.", "Vous n’avez rien à faire."
        ),
    ),
    Reason.SESSION_CANCELLED: Refusal(
        label="session annulée",
        explained="the session was cancelled",
        others_may_help=True,
        decided_by=DecidedBy.ORGANISER,
        letter=Explanation("Cette session est annulée.", _OTHER_SESSIONS),
        withdrawal=Explanation(
            "Cette session est annulée : votre inscription a déjà pris fin.", "Vous n’avez rien à faire."
        ),
        offer=Explanation("Cette session est annulée.", _OTHER_SESSIONS),
    ),
    Reason.APPROVAL_DENIED: Refusal(
        label="pas d’accord de l’employeur",
        explained="the employer said no, or had not agreed when enrolment closed",
        decided_by=DecidedBy.EMPLOYER,
        letter=Explanation(
            "Votre employeur n’a pas donné son accord à votre inscription.",
            _ASK_EMPLOYER,
        ),
        undecided=Explanation(
            "L’accord de votre employeur n’est pas arrivé à temps : il était attendu jusqu’au {closes}.",
            _ASK_EMPLOYER,
        ),
        swap=Explanation(
            "Cette session demande l’accord de votre employeur, qu’un changement ne recueille pas.",
            "Faites sur votre portail une demande pour cette session, sans quitter la vôtre.",
        ),
    ),
    Reason.NOT_SELECTED: Refusal(
        label="candidature non retenue",
        explained="the organiser did not select the agent",
        others_may_help=True,
        decided_by=DecidedBy.ORGANISER,
        letter=Explanation(
            "Votre candidature n’a pas été retenue lors de la sélection.",
            _OTHER_SESSIONS,
        ),
        undecided=Explanation(
            "La session est terminée sans qu’une place vous ait été attribuée.",
            _OTHER_SESSIONS,
        ),
        swap=Explanation(
            "Les places de cette session sont attribuées sur candidature.",
            "Faites sur votre portail une demande pour cette session, sans quitter la vôtre.",
        ),
    ),
    Reason.OVERLAPPING_SESSION: Refusal(
        label="chevauche une autre session",
        explained="the agent was enrolled or waiting in another session at the same time",
        letter=Explanation(
            "Vous avez déjà une place dans une autre session, qui se tient en même temps.",
            "Pour changer de session, désistez-vous d’abord de cette autre session sur votre portail, puis "
            "refaites votre demande.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.QUOTA_REACHED: Refusal(
        label="quota de la collectivité atteint",
        explained="the authority already had all the seats of its quota",
        others_may_help=True,
        lacks_seat=True,
        letter=Explanation(
            "Le nombre de places prévu pour votre collectivité dans cette session est atteint.",
            "Rapprochez-vous de votre service formation, ou choisissez une autre session sur votre portail.",
        ),
    ),
    Reason.GROUP_DOES_NOT_FIT: Refusal(
        label="pas assez de places pour le groupe",
        explained="the group asked for all or nothing, and there were not enough seats for all",
        letter=Explanation(
            "La demande portait sur un groupe entier, dont vous faites partie, et il ne restait pas assez de "
            "places pour tous ses membres.",
            "Rapprochez-vous de votre service formation, qui peut refaire une demande.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.NOT_NOMINATED: Refusal(
        label="pas sur la liste de la collectivité",
        explained="the session is for agents nominated by their authority, and this agent was not nominated",
        letter=Explanation(
            "Cette session est réservée aux personnes que leur collectivité désigne.",
            "Rapprochez-vous de votre service formation, qui peut vous ajouter à sa liste.",
            once_closed="Rapprochez-vous de votre service formation.",
        ),
    ),
    Reason.NOT_ENROLLED: Refusal(
        label="aucune inscription",
        explained="the agent had no enrolment that the request could concern",
        changes_nothing=True,
        letter=Explanation(
            "Vous n’avez ni place ni demande en cours pour cette session.", "Vous n’avez rien à faire."
        ),
    ),
    Reason.ANSWER_MISSING: Refusal(
        label="réponse obligatoire manquante",
        explained="a required question of the session was not answered",
        letter=Explanation(
            "Votre demande ne répond pas à une question que l’organisateur pose à l’inscription, et dont la "
            "réponse est obligatoire.",
            "Refaites votre demande sur votre portail, en répondant à ses questions.",
            once_closed=_CLOSED,
        ),
        swap=Explanation(
            "L’organisateur de cette session pose à l’inscription une question dont la réponse est "
            "obligatoire, et votre demande de changement n’y répond pas.",
            "Faites sur votre portail une demande pour cette session, sans quitter la vôtre.",
        ),
    ),
    Reason.ANSWER_NOT_EXPECTED: Refusal(
        label="réponse à une question qui n’est pas posée",
        explained="the session does not ask this question of the agent, or does not accept this answer",
        letter=Explanation(
            "Votre demande répond à une question que l’organisateur ne pose pas, ou pas de cette façon : "
            "ses questions ont peut-être changé entre-temps.",
            "Refaites votre demande sur votre portail, à partir des questions posées aujourd’hui.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.PREREQUISITE_MISSING: Refusal(
        label="attestation exigée manquante",
        explained="the agent had no certificate of the offer that the session requires",
        letter=Explanation(
            "Cette session demande d’avoir l’attestation de {prerequisite}, et nous n’en avons pas à votre "
            "nom.",
            "Suivez d’abord cette formation : une fois l’attestation obtenue, refaites votre demande.",
        ),
    ),
    Reason.NO_OFFER: Refusal(
        label="aucune place proposée",
        explained="the agent held no offer to reply to",
        letter=Explanation(
            "Aucune place de cette session ne vous est proposée en ce moment.", "Vous n’avez rien à faire."
        ),
        offer=Explanation(
            "Aucune place ne vous est proposée en ce moment : vous avez déjà répondu, l’échéance est "
            "passée, ou votre demande a pris fin.",
            "Si vous êtes sur la liste d’attente, vous y gardez votre place.",
        ),
    ),
}


def explanation(
    reason: Reason,
    *,
    requested: str,
    session_format: Format | None,
    enrolment_is_over: bool = False,
    undecided: bool = False,
) -> Explanation:
    """``requested`` is ``enrolment``, ``withdrawal``, ``offer`` (a reply) or ``swap`` (a move)."""
    refusal = reason.refusal
    found = _instead(refusal, requested) or (undecided and refusal.undecided) or refusal.letter
    if enrolment_is_over and found.once_closed is not None:
        return Explanation(found.sentence, found.once_closed)
    if requested == "withdrawal" and session_format is Format.MOOC and reason is Reason.DEADLINE_PASSED:
        return _MOOC_IS_OVER
    # docs/domain.md, webinar: a refusal for a full session or a late request promises the replay.
    for_all = requested == "enrolment" and session_format is Format.WEBINAR
    if for_all and reason in (Reason.SESSION_FULL, Reason.DEADLINE_PASSED):
        return Explanation(found.sentence, _REPLAY)
    return found


def _instead(refusal: Refusal, requested: str) -> Explanation | None:
    instead = {"withdrawal": refusal.withdrawal, "offer": refusal.offer, "swap": refusal.swap}
    return instead.get(requested)
