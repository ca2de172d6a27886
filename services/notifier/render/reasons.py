"""The French sentence of each reason for a refusal, and what the agent can do then. Pure.

Sentences may name ``{opens}``, ``{closes}`` and ``{starts}``: dates of the session, written in French.
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


_OTHER_SESSIONS = "Consultez sur votre portail les autres sessions ouvertes à l’inscription."
_CLOSED = f"Les inscriptions à cette session sont closes. {_OTHER_SESSIONS}"
_REPLAY = "Le replay du webinaire est en accès libre, sans inscription, dès sa mise en ligne."

ENROLMENT: Mapping[Reason, Explanation] = {
    Reason.UNKNOWN_SESSION: Explanation(
        "La session demandée n’est pas publiée dans l’offre du CNFPT.",
        "Vérifiez la session sur votre portail, puis refaites votre demande.",
    ),
    Reason.NOT_OPEN_YET: Explanation(
        "Votre demande est arrivée avant l’ouverture des inscriptions, fixée au {opens}.",
        "Refaites votre demande à partir de cette date.",
        once_closed=_CLOSED,
    ),
    Reason.DEADLINE_PASSED: Explanation(
        "Les inscriptions sont closes : elles étaient ouvertes jusqu’au {closes}.",
        _OTHER_SESSIONS,
    ),
    Reason.SESSION_FULL: Explanation(
        "Toutes les places sont prises et cette session n’a pas de liste d’attente.",
        _OTHER_SESSIONS,
    ),
    Reason.NOT_ELIGIBLE: Explanation(
        "Cette session s’adresse à un autre public, défini par la fonction, l’employeur ou la délégation.",
        "Si votre situation a changé, signalez-le sur votre portail, puis refaites votre demande.",
        once_closed=_CLOSED,
    ),
    Reason.ALREADY_ENROLLED: Explanation(
        "Vous avez déjà une demande en cours ou une place pour cette session : elle reste inchangée.",
        "Vous n’avez rien à faire.",
    ),
    Reason.SESSION_CANCELLED: Explanation("Cette session est annulée.", _OTHER_SESSIONS),
    Reason.APPROVAL_DENIED: Explanation(
        "Votre employeur n’a pas donné son accord à votre inscription.",
        "Rapprochez-vous de votre responsable ou de votre service formation.",
    ),
    Reason.NOT_SELECTED: Explanation(
        "Votre candidature n’a pas été retenue lors de la sélection.",
        _OTHER_SESSIONS,
    ),
    Reason.OVERLAPPING_SESSION: Explanation(
        "Vous avez déjà une place dans une autre session, qui se tient en même temps.",
        "Pour changer de session, désistez-vous d’abord de cette autre session sur votre portail, puis "
        "refaites votre demande.",
        once_closed=_CLOSED,
    ),
    Reason.QUOTA_REACHED: Explanation(
        "Le nombre de places prévu pour votre collectivité dans cette session est atteint.",
        "Rapprochez-vous de votre service formation, ou choisissez une autre session sur votre portail.",
    ),
    Reason.GROUP_DOES_NOT_FIT: Explanation(
        "La demande portait sur un groupe entier, dont vous faites partie, et il ne restait pas assez de "
        "places pour tous ses membres.",
        "Rapprochez-vous de votre service formation, qui peut refaire une demande.",
        once_closed=_CLOSED,
    ),
    Reason.NOT_ENROLLED: Explanation(
        "Vous n’avez ni place ni demande en cours pour cette session.", "Vous n’avez rien à faire."
    ),
    Reason.NO_OFFER: Explanation(
        "Aucune place de cette session ne vous est proposée en ce moment.", "Vous n’avez rien à faire."
    ),
}
"""Why an enrolment was refused."""

WITHDRAWAL: Mapping[Reason, Explanation] = {
    Reason.DEADLINE_PASSED: Explanation(
        "La session a commencé le {starts} : il n’est plus possible de se désister.",
        "Si vous ne pouvez pas y participer, écrivez à l’adresse ci-dessous pour signaler votre absence.",
    ),
    Reason.SESSION_CANCELLED: Explanation(
        "Cette session est annulée : votre inscription a déjà pris fin.", "Vous n’avez rien à faire."
    ),
    Reason.UNKNOWN_SESSION: Explanation(
        "La session indiquée n’est pas publiée dans l’offre du CNFPT.",
        "Vérifiez la session sur votre portail, puis refaites votre demande.",
    ),
}
"""Why a withdrawal was refused; other reasons read as for an enrolment."""

OFFER: Mapping[Reason, Explanation] = {
    Reason.DEADLINE_PASSED: Explanation(
        "Votre réponse est arrivée après l’échéance : la place n’est plus réservée pour vous.",
        "Pour participer malgré tout, refaites une demande sur votre portail tant que les inscriptions sont "
        "ouvertes (jusqu’au {closes}). Si la session est complète, vous prendrez rang à la fin de la liste "
        "d’attente.",
        once_closed=_CLOSED,
    ),
    Reason.NO_OFFER: Explanation(
        "Aucune place ne vous est proposée en ce moment : vous avez déjà répondu, ou l’échéance est passée.",
        "Si vous êtes sur la liste d’attente, vous y gardez votre rang.",
    ),
    Reason.ALREADY_ENROLLED: Explanation(
        "Vous avez déjà une place dans cette session : elle reste la vôtre.", "Vous n’avez rien à faire."
    ),
    Reason.SESSION_CANCELLED: Explanation("Cette session est annulée.", _OTHER_SESSIONS),
    Reason.UNKNOWN_SESSION: WITHDRAWAL[Reason.UNKNOWN_SESSION],
}
"""Why an answer to an offered seat was refused; other reasons read as for an enrolment."""


def explanation(
    reason: Reason, *, asked: str, session_format: Format | None, enrolment_is_over: bool = False
) -> Explanation:
    """The sentence and the advice for a refusal of what was ``asked``.

    ``asked`` is ``enrolment``, ``withdrawal`` or ``offer`` (an answer to an offered seat).
    """
    found = _OTHERWISE.get(asked, ENROLMENT).get(reason) or ENROLMENT[reason]
    if enrolment_is_over and found.once_closed is not None:
        return Explanation(found.sentence, found.once_closed)
    # DOMAIN.md, webinar: when full, the refusal promises the replay; so does a late request.
    for_all = asked == "enrolment" and session_format is Format.WEBINAR
    if for_all and reason in (Reason.SESSION_FULL, Reason.DEADLINE_PASSED):
        return Explanation(found.sentence, _REPLAY)
    return found


_OTHERWISE = {"withdrawal": WITHDRAWAL, "offer": OFFER}
