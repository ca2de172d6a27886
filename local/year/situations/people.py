"""Who an agent is: whose address is corrected, who is there twice, who comes unasked, who is forgotten.

All of it happens in one session, whose organiser writes to who is in it on 19 May.
"""

from dataclasses import replace

from local.year.acts import (
    asks,
    correction,
    erasure,
    is_corrected,
    is_forgotten,
    not_valid,
    sends_what_is_not_valid,
)
from local.year.by_mail import gives_address, loses_link, opens
from local.year.organising import attends, enrols_by_hand, keeps_one, publishes, writes
from local.year.people import MARK, Listener, listens, person
from local.year.sessions import PUBLISHED, local_event
from local.year.situation import Situation

KARIM = person("Karim", "Ibáñez", "bretagne")
_NEW = replace(KARIM, email=f"k.ibanez@agglo.{MARK}.example")
FATOU = person("Fatou", "Nguyễn", "bretagne")
MOISE = person("Moïse", "Œuvrard", "bretagne")
AICHA = person("Aïcha", "Dupré", "bretagne")
_AT_HOME = replace(AICHA, email=f"aicha.dupre@courriel.{MARK}.example")
LINH = person("Linh", "Hervé", "bretagne")
_BY_HAND = replace(LINH, email=f"linh.herve@courriel.{MARK}.example")
ELOISE = person("Éloïse", "Rivière", "bretagne")
JOEL = person("Joël", "L’Hôte", "bretagne")

CORRECTED = Situation(
    "L’adresse de Karim est corrigée entre la confirmation et la convocation",
    "règle 19",
    [
        publishes(
            PUBLISHED,
            "ouvert",
            local_event("L’IA et les petites communes", "2025-05-27 09:30", "2025-05-27 17:00", 30),
        ),
        asks("2025-03-10 10:00", KARIM, "ouvert"),
        is_corrected("2025-04-22 10:00", _NEW),
        attends("2025-05-28 10:00", _NEW, "ouvert"),
    ],
    [
        Listener(
            "Karim Ibáñez, à l’ancienne adresse",
            KARIM.email,
            """
            2025-03-10 courriel inscription confirmée
            2025-04-22 courriel adresse corrigée
            """,
        ),
        listens(
            _NEW,
            """
            2025-03-10 portail  une place
            2025-04-22 portail  demande prise en compte
            2025-05-12 courriel convocation
            2025-05-19 courriel message de l’organisation
            2025-05-20 courriel rappel
            2025-05-26 courriel rappel
            2025-05-28 portail  présence relevée, attestation due
            2025-05-28 courriel attestation
            """,
            correction(KARIM),
        ),
    ],
)

WALK_IN = Situation(
    "Fatou se présente le jour même et est inscrite à la main",
    "règles 12 et 22",
    [
        enrols_by_hand("2025-05-27 09:15", FATOU, "ouvert"),
        attends("2025-05-28 10:00", FATOU, "ouvert"),
    ],
    [
        listens(
            FATOU,
            """
            2025-05-27 courriel inscription confirmée et convocation
            2025-05-28 courriel attestation
            """,
        )
    ],
)

FORGOTTEN = Situation(
    "Moïse demande à être oublié : sa place est rendue, et il n’entend plus rien",
    "droit (effacement en un jour), règle 2, table des courriels",
    [
        asks("2025-03-10 10:00", MOISE, "ouvert"),
        is_forgotten("2025-04-22 10:00", MOISE),
    ],
    [
        listens(
            MOISE,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-04-22 portail  demande prise en compte
            2025-04-22 portail  fin : agent
            2025-04-22 courriel désistement enregistré
            """,
            erasure(MOISE),
        )
    ],
    forgotten={"2025-04-23 10:00": MOISE},
)

ON_HER_PAGE = Situation(
    "Aïcha a perdu le lien vers ses inscriptions ; par lui, elle corrige ensuite elle-même son adresse",
    "règle 19 (l’agente, par un lien signé, confirmé à la nouvelle adresse), règle 23 (sa page)",
    [
        asks("2025-03-10 10:00", AICHA, "ouvert"),
        loses_link("2025-03-18 10:00", AICHA),
        gives_address("2025-04-22 10:00", AICHA, _AT_HOME.email),
        opens("2025-04-22 10:00", _AT_HOME.email, "/inscriptions/nouvelle-adresse", confirmer="oui"),
    ],
    [
        Listener(
            "Aïcha Dupré, à l’ancienne adresse",
            AICHA.email,
            """
            2025-03-10 courriel inscription confirmée
            2025-03-18 courriel lien vers les inscriptions
            2025-04-22 courriel autre adresse indiquée
            2025-04-22 courriel adresse corrigée
            """,
        ),
        listens(
            _AT_HOME,
            """
            2025-03-10 portail  une place
            2025-04-22 courriel adresse à confirmer
            2025-05-12 courriel convocation
            2025-05-19 courriel message de l’organisation
            2025-05-20 courriel rappel
            2025-05-26 courriel rappel
            """,
        ),
    ],
)

TWICE = Situation(
    "Linh est inscrite par son portail, et à la main sous une autre adresse : une inscription est gardée",
    "règle 22 (une personne, deux émetteurs)",
    [
        asks("2025-03-10 10:00", LINH, "ouvert"),
        enrols_by_hand("2025-04-14 10:00", _BY_HAND, "ouvert"),
        keeps_one("2025-04-22 10:00", "ouvert", LINH, _BY_HAND),
    ],
    [
        listens(
            LINH,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-05-12 courriel convocation
            2025-05-19 courriel message de l’organisation
            2025-05-20 courriel rappel
            2025-05-26 courriel rappel
            """,
        ),
        Listener(
            "Linh Hervé, à son autre adresse",
            _BY_HAND.email,
            """
            2025-04-14 courriel inscription confirmée
            2025-04-22 courriel une seule inscription gardée
            """,
        ),
    ],
)

NOT_VALID = Situation(
    "Le portail d’Éloïse envoie une demande mal faite : il l’apprend, elle non ; la suivante est bonne",
    "promesse « toujours une raison » (rejet, mis de côté)",
    [
        sends_what_is_not_valid("2025-03-10 10:00", ELOISE, "ouvert"),
        asks("2025-03-11 10:00", ELOISE, "ouvert"),
    ],
    [
        listens(
            ELOISE,
            """
            2025-03-10 portail  rejet : invalid
            2025-03-11 portail  une place
            2025-03-11 courriel inscription confirmée
            2025-05-12 courriel convocation
            2025-05-19 courriel message de l’organisation
            2025-05-20 courriel rappel
            2025-05-26 courriel rappel
            """,
            not_valid(ELOISE),
        )
    ],
)

MESSAGE = Situation(
    "L’organisation prépare un message à qui participe, dont Joël : il part le 19 mai à 9 h",
    "table des courriels (consigne de l’organisateur)",
    [
        asks("2025-03-10 10:00", JOEL, "ouvert"),
        writes(
            "2025-05-12 10:00", "ouvert", "Venez avec un ordinateur, s’il vous plaît.", "2025-05-19 09:00"
        ),
    ],
    [
        listens(
            JOEL,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-05-12 courriel convocation
            2025-05-19 courriel message de l’organisation
            2025-05-20 courriel rappel
            2025-05-26 courriel rappel
            """,
        )
    ],
)

SITUATIONS = (CORRECTED, WALK_IN, FORGOTTEN, ON_HER_PAGE, TWICE, NOT_VALID, MESSAGE)
