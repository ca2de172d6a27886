"""What is open to everyone: the MOOC, the webinars, resources, and news of them."""

from typing import Any

from local.year.acts import asks, iso, subscribes, subscription
from local.year.by_mail import follows, opens
from local.year.organising import attends, publishes, publishes_replay, publishes_resource
from local.year.people import Listener, extra, listens, person
from local.year.sessions import PUBLISHED, local_event, webinar
from local.year.situation import Situation

ZOE = person("Zoé", "Kerboeuf", "bretagne")
NOEL = person("Noël", "Béranger", "normandie")
INES = person("Inès", "Guérin", "normandie")
ADELAIDE = person("Adélaïde", "Étienne", "occitanie")
SOLENE = person("Solène", "Mélenec", "normandie")
_THEME = "risques-et-responsabilite"
_EVENING_OF_NEWS = "2025-04-02 17:00"
_OTHER_THEME = "evolution-des-metiers"

MOOC = Situation(
    "Zoé suit le MOOC, de l’inscription (demandée deux fois) à l’attestation, qu’une autre session demande",
    "six formats (mooc), règles 7, 9 et 12, table des courriels, prérequis",
    [
        publishes(
            PUBLISHED,
            "après le mooc",
            local_event(
                "L’IA, pour aller plus loin",
                "2025-06-17 09:30",
                "2025-06-17 17:00",
                10,
                prerequisite={"offer_id": "mooc-fondamentaux-ia"},
            ),
        ),
        asks("2025-02-26 10:00", ZOE, "mooc"),
        asks("2025-03-04 10:00", ZOE, "mooc"),
        attends("2025-04-14 10:00", ZOE, "mooc", (1, 2, 3)),
        asks("2025-04-15 10:00", ZOE, "après le mooc"),
    ],
    [
        listens(
            ZOE,
            """
            2025-02-26 portail  une place
            2025-02-26 courriel inscription confirmée
            2025-03-04 portail  refus : already_enrolled
            2025-03-04 courriel déjà une inscription
            2025-03-10 courriel rappel
            2025-03-16 courriel rappel
            2025-03-17 courriel convocation
            2025-04-14 portail  présence relevée
            2025-04-14 portail  présence relevée
            2025-04-14 portail  présence relevée, attestation due
            2025-04-14 courriel attestation
            2025-04-15 portail  une place
            2025-04-15 courriel inscription confirmée
            2025-06-02 courriel convocation
            2025-06-10 courriel rappel
            2025-06-16 courriel rappel
            """,
        )
    ],
    ["2025-03-10 10:00", "2025-03-16 10:00", "2025-03-17 10:00", "2025-03-29 10:00", "2025-04-12 10:00"],
)

WEBINAR = Situation(
    "Noël est refusé au webinaire complet et apprend que le replay est en ligne ; Inès y était",
    "six formats (webinar), replay disponible T/N",
    [
        publishes(
            PUBLISHED,
            "webinaire",
            webinar("L’IA et les marchés publics", "2025-04-01 09:30", "2025-04-01 10:30", 2),
        ),
        asks("2025-03-10 10:00", INES, "webinaire"),
        asks("2025-03-10 10:00", extra(1, "corse"), "webinaire"),
        asks("2025-03-20 10:00", NOEL, "webinaire"),
        subscribes("2025-03-20 10:00", NOEL, _THEME),
        publishes_replay("2025-04-02 10:00", "webinaire", _THEME),
        subscribes("2025-06-30 10:00", NOEL, _THEME, subscribed=False),
    ],
    [
        listens(
            NOEL,
            """
            2025-03-20 portail  refus : session_full
            2025-03-20 courriel refus
            2025-03-20 portail  demande prise en compte
            2025-04-02 courriel nouvelle ressource
            2025-06-30 portail  demande prise en compte
            """,
            subscription(NOEL, _THEME),
            subscription(NOEL, _THEME, subscribed=False),
        ),
        listens(
            INES,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-03-17 courriel convocation
            2025-03-25 courriel rappel
            2025-03-31 courriel rappel
            2025-04-02 courriel replay disponible
            """,
        ),
    ],
    [_EVENING_OF_NEWS],
)

RESOURCES = Situation(
    "Adélaïde suit un thème : un dossier et une e-communauté ouvrent le même jour, et ne font qu’un courriel",
    "six formats (ressources ouvertes), nouvelle ressource N",
    [
        subscribes("2025-03-20 10:00", ADELAIDE, _OTHER_THEME),
        publishes_resource("2025-04-02 10:00", "dossier", "L’IA et les métiers", _OTHER_THEME),
        publishes_resource("2025-04-02 10:00", "community", "Les métiers et l’IA", _OTHER_THEME),
        subscribes("2025-06-30 10:00", ADELAIDE, _OTHER_THEME, subscribed=False),
    ],
    [
        listens(
            ADELAIDE,
            """
            2025-03-20 portail  demande prise en compte
            2025-04-02 courriel plusieurs nouvelles ressources
            2025-06-30 portail  demande prise en compte
            """,
            subscription(ADELAIDE, _OTHER_THEME),
            subscription(ADELAIDE, _OTHER_THEME, subscribed=False),
        )
    ],
    [_EVENING_OF_NEWS],
)


def _opening(title: str, opens_at: str) -> dict[str, Any]:
    """Return a session of Normandy in which one can enrol from a moment on."""
    return local_event(
        title,
        "2025-06-12 09:30",
        "2025-06-12 17:00",
        10,
        organiser="normandie",
        venue="Le Dôme, Caen",
        enrolment_opens_at=iso(opens_at),
    )


OPENING = Situation(
    "Solène veut savoir, par la page de l’offre, quand une session ouvre en Normandie, puis ne le veut plus",
    "« Told when a session opens » (docs/domain.md), désabonnement en un clic N",
    [
        publishes(PUBLISHED, "ouvre en avril", _opening("L’IA à Caen", "2025-04-02 09:00")),
        publishes(PUBLISHED, "ouvre après", _opening("L’IA à Rouen", "2025-04-15 09:00")),
        follows("2025-03-20 10:00", SOLENE.email, "ia-et-territoires", "normandie"),
        opens("2025-03-20 10:00", SOLENE.email, "/courriels/confirmation"),
        opens("2025-04-14 10:00", SOLENE.email, "/courriels/desabonnement"),
    ],
    [
        Listener(
            "Solène Mélenec",
            SOLENE.email,
            """
            2025-03-20 courriel abonnement à confirmer
            2025-04-02 courriel inscriptions ouvertes
            """,
        )
    ],
    [_EVENING_OF_NEWS],
)

SITUATIONS = (MOOC, WEBINAR, RESOURCES, OPENING)
