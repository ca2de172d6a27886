"""Who an agent is: whose address is corrected, who comes without having asked, who is forgotten."""

from dataclasses import replace

from local.year.acts import (
    asks,
    attends,
    correction,
    enrols_by_hand,
    erasure,
    is_corrected,
    is_forgotten,
    publishes,
)
from local.year.people import MARK, Listener, listens, person
from local.year.sessions import PUBLISHED, local_event
from local.year.situation import Situation

KARIM = person("Karim", "Ibáñez", "bretagne")
_NEW = replace(KARIM, email=f"k.ibanez@agglo.{MARK}.example")
FATOU = person("Fatou", "Nguyễn", "bretagne")
MOISE = person("Moïse", "Œuvrard", "bretagne")

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
            """,
        ),
        listens(
            _NEW,
            """
            2025-03-10 portail  une place
            2025-04-22 portail  demande prise en compte
            2025-05-12 courriel convocation
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

SITUATIONS = (CORRECTED, WALK_IN, FORGOTTEN)
