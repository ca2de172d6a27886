"""What the pages say when there is nothing to decide: that it is done, or why it cannot be."""

from enum import Enum

from services.enrolment.rules.states import State
from shared.pages import Text

_PORTAL = "Pour toute nouvelle demande, passez par votre portail d’inscription."


class Message(Enum):
    """Every page without a question."""

    # A link
    UNKNOWN = Text(
        410,
        "Cette inscription n’existe plus",
        "Nous n’avons plus d’inscription qui corresponde à ce lien.",
        _PORTAL,
    )
    SESSION_CANCELLED = Text(
        410,
        "Cette session est annulée",
        "La session n’aura pas lieu ; toutes les inscriptions ont pris fin.",
        "Vous pouvez choisir une autre session.",
    )

    # An offer
    SEAT_TAKEN = Text(
        200,
        "Votre place est confirmée",
        "Vous avez pris la place qui s’était libérée\u00a0: vous êtes inscrite ou inscrit à cette session.",
        "Un courriel de confirmation vous parvient avec les informations pratiques.",
    )
    SEAT_LEFT = Text(
        200,
        "Vous avez laissé la place",
        "Votre réponse est enregistrée\u00a0: la place est proposée à la personne suivante.",
        _PORTAL,
    )
    OFFER_EXPIRED = Text(
        410,
        "Le délai pour répondre est passé",
        "La place n’était plus réservée\u00a0: elle est proposée à la personne suivante.",
        "Si la session vous intéresse toujours, refaites une demande depuis votre portail d’inscription.",
    )
    OFFER_TAKEN = Text(
        410,
        "Cette place est déjà la vôtre",
        "Vous avez déjà répondu à cette proposition et vous êtes inscrite ou inscrit à cette session.",
        "Pour vous désister, utilisez le lien du courriel de confirmation.",
    )
    OFFER_LEFT = Text(
        410,
        "Vous avez déjà laissé cette place",
        "Vous avez déjà répondu à cette proposition ; la place a été proposée à la personne suivante.",
        _PORTAL,
    )
    OFFER_REPLACED = Text(
        410,
        "Cette proposition a été remplacée",
        "Une proposition plus récente vous a été envoyée, avec un autre délai de réponse.",
        "Ouvrez le lien du dernier courriel que vous avez reçu à ce sujet.",
    )
    OFFER_ENDED = Text(
        410,
        "Cette proposition n’est plus valable",
        "Votre inscription à cette session a pris fin.",
        _PORTAL,
    )

    # A withdrawal
    WITHDRAWN = Text(
        200,
        "Votre désistement est enregistré",
        "Si la session est complète, votre place profitera à quelqu’un d’autre.",
        "Un courriel vous le confirme.",
    )
    ALREADY_ENDED = Text(
        410,
        "Cette inscription a déjà pris fin",
        "Il n’y a plus rien dont vous puissiez vous désister.",
        _PORTAL,
    )
    SESSION_STARTED = Text(
        410,
        "Il est trop tard pour vous désister en ligne",
        "La session a commencé.",
        "Signalez votre absence à l’organisateur de la session.",
    )
    WITHDRAWAL_LINK_EXPIRED = Text(
        410, "Ce lien a expiré", "La session est terminée\u00a0: on ne peut plus s’en désister."
    )

    # A certificate
    NOT_CERTIFIED = Text(
        410,
        "Cette attestation n’est pas disponible",
        "Votre présence à cette session n’est pas, ou n’est plus, enregistrée.",
        "Adressez-vous à l’organisateur de la session s’il s’agit d’une erreur.",
    )
    CERTIFICATE_LINK_EXPIRED = Text(
        410,
        "Ce lien a expiré",
        "L’attestation n’est plus accessible par ce lien.",
        "Adressez-vous à l’organisateur de la session pour en obtenir une copie.",
    )


HEADINGS = {
    State.ENROLLED: "Vous désister de cette session\u00a0?",
    State.OFFERED: "Vous désister de cette session\u00a0?",
    State.WAITLISTED: "Quitter la liste d’attente\u00a0?",
    State.PENDING_APPROVAL: "Retirer votre demande\u00a0?",
    State.PENDING_SELECTION: "Retirer votre candidature\u00a0?",
}
STATES = {
    State.ENROLLED: "Vous êtes inscrite ou inscrit à cette session.",
    State.OFFERED: "Une place de cette session vous est proposée et attend votre réponse.",
    State.WAITLISTED: "Vous êtes sur la liste d’attente de cette session.",
    State.PENDING_APPROVAL: "Votre demande attend l’accord de votre employeur.",
    State.PENDING_SELECTION: "Votre candidature attend la sélection.",
}
BUTTONS = {
    State.ENROLLED: "Oui, je me désiste",
    State.OFFERED: "Oui, je me désiste",
    State.WAITLISTED: "Oui, je quitte la liste d’attente",
    State.PENDING_APPROVAL: "Oui, je retire ma demande",
    State.PENDING_SELECTION: "Oui, je retire ma candidature",
}
"""What the page of a withdrawal says, by where the enrolment stands."""
