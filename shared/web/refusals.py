"""Why a request was refused: all texts of each reason, in one place. Pure.

A reason needs an entry of ``REFUSALS``, and no other sentence: letters, sheets and the command ``explain``
read it here, and a test fails for a reason that has none. Sentences may name ``{opens}``, ``{closes}`` and
``{starts}``, dates of the session, and ``{prerequisite}``, the offer that it requires, written in French.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.events.vocabulary import Format, Reason


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, in one sentence, and the one thing to do; ``once_closed`` instead when enrolment is over."""

    sentence: str
    advice: str
    once_closed: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The texts of a reason, for its three readers.

    ``label`` is for a cell of an organiser's sheet, ``explained`` for an operator (``explain``, in English),
    ``letter`` for the agent whose request for a seat it refused; ``withdrawal``, ``offer`` and ``swap``
    instead, where the text differs, for an agent who wanted to withdraw, answered an offer or wanted to move
    to another session.
    """

    label: str
    explained: str
    letter: Explanation
    withdrawal: Explanation | None = None
    offer: Explanation | None = None
    swap: Explanation | None = None


_OTHER_SESSIONS = "Consultez sur votre portail les autres sessions ouvertes à l’inscription."
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
        explained="no event of the session came in time",
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
        explained="received when it was too late for it",
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
        explained="no seat that this agent may take was free, and there is no waiting list, or no more",
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
        explained="the session is not for this function, authority or delegation; a move: of another offer",
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
        letter=Explanation("Cette session est annulée.", _OTHER_SESSIONS),
        withdrawal=Explanation(
            "Cette session est annulée : votre inscription a déjà pris fin.", "Vous n’avez rien à faire."
        ),
        offer=Explanation("Cette session est annulée.", _OTHER_SESSIONS),
    ),
    Reason.APPROVAL_DENIED: Refusal(
        label="pas d’accord de l’employeur",
        explained="the employer said no, or nothing before enrolment closed",
        letter=Explanation(
            "Votre employeur n’a pas donné son accord à votre inscription.",
            "Rapprochez-vous de votre responsable ou de votre service formation.",
        ),
        swap=Explanation(
            "Cette session demande l’accord de votre employeur, qu’un changement ne recueille pas.",
            "Faites sur votre portail une demande pour cette session, sans quitter la vôtre.",
        ),
    ),
    Reason.NOT_SELECTED: Refusal(
        label="candidature non retenue",
        explained="the organiser did not select them",
        letter=Explanation(
            "Votre candidature n’a pas été retenue lors de la sélection.",
            _OTHER_SESSIONS,
        ),
        swap=Explanation(
            "Les places de cette session sont attribuées sur candidature.",
            "Faites sur votre portail une demande pour cette session, sans quitter la vôtre.",
        ),
    ),
    Reason.OVERLAPPING_SESSION: Refusal(
        label="chevauche une autre session",
        explained="the agent was enrolled, or waited, in another session at the time",
        letter=Explanation(
            "Vous avez déjà une place dans une autre session, qui se tient en même temps.",
            "Pour changer de session, désistez-vous d’abord de cette autre session sur votre portail, puis "
            "refaites votre demande.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.QUOTA_REACHED: Refusal(
        label="quota de la collectivité atteint",
        explained="the authority had as many seats as it may have",
        letter=Explanation(
            "Le nombre de places prévu pour votre collectivité dans cette session est atteint.",
            "Rapprochez-vous de votre service formation, ou choisissez une autre session sur votre portail.",
        ),
    ),
    Reason.GROUP_DOES_NOT_FIT: Refusal(
        label="pas assez de places pour le groupe",
        explained="the group asked for all or nothing, and not all could sit",
        letter=Explanation(
            "La demande portait sur un groupe entier, dont vous faites partie, et il ne restait pas assez de "
            "places pour tous ses membres.",
            "Rapprochez-vous de votre service formation, qui peut refaire une demande.",
            once_closed=_CLOSED,
        ),
    ),
    Reason.NOT_NOMINATED: Refusal(
        label="pas sur la liste de la collectivité",
        explained="the session is for those whom the authority names, and the agent asked alone",
        letter=Explanation(
            "Cette session est réservée aux personnes que leur collectivité désigne.",
            "Rapprochez-vous de votre service formation, qui peut vous ajouter à sa liste.",
            once_closed="Rapprochez-vous de votre service formation.",
        ),
    ),
    Reason.NOT_ENROLLED: Refusal(
        label="aucune inscription",
        explained="there was no enrolment that it could be about",
        letter=Explanation(
            "Vous n’avez ni place ni demande en cours pour cette session.", "Vous n’avez rien à faire."
        ),
    ),
    Reason.ANSWER_MISSING: Refusal(
        label="réponse obligatoire manquante",
        explained="a question of the session that must be answered was not",
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
        explained="an answer was to a question that the session did not ask of them, or none that it takes",
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
        explained="no offer stood that it could answer",
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
    reason: Reason, *, requested: str, session_format: Format | None, enrolment_is_over: bool = False
) -> Explanation:
    """The sentence and the advice for a refusal of what was requested.

    That is ``enrolment``, ``withdrawal``, ``offer`` (an answer to an offered seat) or ``swap`` (a move to
    another session).
    """
    refusal = REFUSALS[reason]
    found = _instead(refusal, requested) or refusal.letter
    if enrolment_is_over and found.once_closed is not None:
        return Explanation(found.sentence, found.once_closed)
    if requested == "withdrawal" and session_format is Format.MOOC and reason is Reason.DEADLINE_PASSED:
        return _MOOC_IS_OVER
    # docs/domain.md, webinar: when full, the refusal promises the replay; so does a late request.
    for_all = requested == "enrolment" and session_format is Format.WEBINAR
    if for_all and reason in (Reason.SESSION_FULL, Reason.DEADLINE_PASSED):
        return Explanation(found.sentence, _REPLAY)
    return found


def _instead(refusal: Refusal, requested: str) -> Explanation | None:
    instead = {"withdrawal": refusal.withdrawal, "offer": refusal.offer, "swap": refusal.swap}
    return instead.get(requested)
