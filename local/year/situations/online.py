"""The MOOC and the webinars."""

from local.year.acts import asks, attends, publishes, publishes_replay, subscribes, subscription
from local.year.people import extra, listens, person
from local.year.sessions import PUBLISHED, webinar
from local.year.situation import Situation

ZOE = person("Zoé", "Kerboeuf", "bretagne")
NOEL = person("Noël", "Béranger", "normandie")
INES = person("Inès", "Guérin", "normandie")
_THEME = "risques-et-responsabilite"

MOOC = Situation(
    "Zoé suit le MOOC, de l’inscription (demandée deux fois) à l’attestation",
    "six formats (mooc), règles 7, 9 et 12, table des courriels",
    [
        asks("2025-02-26 10:00", ZOE, "mooc"),
        asks("2025-03-04 10:00", ZOE, "mooc"),
        attends("2025-04-14 10:00", ZOE, "mooc", (1, 2, 3)),
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
            webinar("L’IA et les marchés publics", "2025-04-01 11:00", "2025-04-01 12:00", 2),
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
    ["2025-03-17 12:00", "2025-03-25 12:00", "2025-03-31 12:00", "2025-04-02 17:00"],
)

SITUATIONS = (MOOC, WEBINAR)
