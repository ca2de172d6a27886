"""Local events: who waits, who is offered a seat, whose session changes, who moves."""

from local.demo.portal import RequestKind
from local.year.acts import ask_together, asks, iso, withdraws
from local.year.by_mail import accepts_by_link
from local.year.organising import attends, cancels, changes, imports, publishes
from local.year.people import MARK, Listener, extra, listens, person
from local.year.sessions import PUBLISHED, local_event
from local.year.situation import Situation

ANAIS = person("Anaïs", "Pélissier", "bretagne")
LOIC = person("Loïc", "Ménard", "bretagne")
HELENE = person("Hélène", "Traoré", "bretagne")
FRANCOIS = person("François", "Boulègue", "bretagne")
CHLOE = person("Chloé", "Lemaître", "bretagne")
REMI = person("Rémi", "Château", "bretagne")
GAELLE = person("Gaëlle", "Jégou", "bretagne")
IRENE = person("Irène", "Crépin", "bretagne")
OCEANE = person("Océane", "Durand", "bretagne")
GREGOIRE = person("Grégoire", "Payet", "bretagne")
JEROME = person("Jérôme", "Bénard", "bretagne")
_TRAINER = f"gwenaelle.le-goff@formation.{MARK}.example"
_TRAINERS = [{"name": "Gwenaëlle Le Goff", "email": _TRAINER}]

UNTIL_THE_END = Situation(
    "Anaïs attend jusqu’au bout et n’a pas de place, ni ne peut accepter celle que personne ne lui propose",
    "règles 2, 10 et 23",
    [
        publishes(
            PUBLISHED,
            "complet",
            local_event("L’IA à l’état civil", "2025-05-13 09:30", "2025-05-13 17:00", 1),
        ),
        asks("2025-03-10 10:00", extra(2, "bretagne"), "complet"),
        asks("2025-03-11 10:00", ANAIS, "complet"),
        asks("2025-04-14 10:00", ANAIS, "complet", RequestKind.OFFER_ANSWER),
    ],
    [
        listens(
            ANAIS,
            """
            2025-03-11 portail  liste d’attente, rang 1
            2025-03-11 courriel liste d’attente
            2025-04-14 portail  refus : no_offer
            2025-04-14 courriel réponse refusée
            2025-05-13 portail  pas de place obtenue
            2025-05-13 courriel pas de place obtenue
            """,
        )
    ],
)

OFFERED = Situation(
    "Une place est proposée à Loïc, qui répond trop tard ; Hélène, la suivante, accepte par le lien",
    "règle 2 (offre gardée 48 heures), table des courriels",
    [
        publishes(
            PUBLISHED,
            "proposé",
            local_event(
                "L’IA et les archives", "2025-06-12 09:30", "2025-06-12 17:00", 1, waiting_list="offer"
            ),
        ),
        asks("2025-03-10 10:00", extra(3, "bretagne"), "proposé"),
        asks("2025-03-11 10:00", LOIC, "proposé"),
        asks("2025-03-12 10:00", HELENE, "proposé"),
        withdraws("2025-05-19 10:00", extra(3, "bretagne"), "proposé"),
        asks("2025-05-22 10:00", LOIC, "proposé", RequestKind.OFFER_ANSWER),
        accepts_by_link("2025-05-22 10:00", HELENE),
    ],
    [
        listens(
            LOIC,
            """
            2025-03-11 portail  liste d’attente, rang 1
            2025-03-11 courriel liste d’attente
            2025-05-19 portail  place proposée
            2025-05-19 courriel une place s’est libérée
            2025-05-21 portail  proposition terminée : expired
            2025-05-21 courriel offre expirée
            2025-05-22 portail  refus : deadline_passed
            2025-05-22 courriel réponse refusée
            """,
        ),
        listens(
            HELENE,
            """
            2025-03-12 portail  liste d’attente, rang 2
            2025-03-12 courriel liste d’attente
            2025-05-21 portail  place proposée
            2025-05-21 courriel une place s’est libérée
            2025-05-22 portail  une place, de la liste d’attente
            2025-05-22 courriel place obtenue
            2025-05-28 courriel convocation
            2025-06-05 courriel rappel
            2025-06-11 courriel rappel
            """,
        ),
    ],
    ["2025-05-21 11:00"],
)

POSTPONED = Situation(
    "La session de François est reportée d’une semaine ; Chloé, qui attend, l’apprend aussi",
    "règle 11 (et 10 pour Chloé)",
    [
        publishes(
            PUBLISHED,
            "reporté",
            local_event("L’IA et le budget", "2025-05-15 09:30", "2025-05-15 17:00", 1, trainers=_TRAINERS),
        ),
        asks("2025-03-10 10:00", FRANCOIS, "reporté"),
        asks("2025-03-11 10:00", CHLOE, "reporté"),
        changes(
            "2025-04-14 10:00", "reporté", starts_at=iso("2025-05-22 09:30"), ends_at=iso("2025-05-22 17:00")
        ),
    ],
    [
        listens(
            FRANCOIS,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-04-14 portail  session modifiée
            2025-04-14 courriel modification
            2025-05-07 courriel convocation
            2025-05-15 courriel rappel
            2025-05-21 courriel rappel
            """,
        ),
        listens(
            CHLOE,
            """
            2025-03-11 portail  liste d’attente, rang 1
            2025-03-11 courriel liste d’attente
            2025-04-14 portail  session modifiée
            2025-04-14 courriel modification (en attente)
            2025-05-22 portail  pas de place obtenue
            2025-05-22 courriel pas de place obtenue
            """,
        ),
    ],
    ["2025-04-30 10:00"],
)


def _days(*days: str) -> list[dict[str, str]]:
    """Return séances of a whole day each."""
    return [
        {"title": f"Journée du {day}", "starts_at": iso(f"{day} 09:30"), "ends_at": iso(f"{day} 17:00")}
        for day in days
    ]


SECOND_DAY = Situation(
    "Gaëlle était là le premier jour, le second est annulé ; Rémi perd une séance et donne son avis",
    "règles 8, 9 et 11 (la présence reste, l’attestation suit ce qui a eu lieu), évaluation",
    [
        publishes(
            PUBLISHED,
            "deux jours",
            local_event(
                "L’IA en deux journées",
                "2025-05-20 09:30",
                "2025-05-27 17:00",
                10,
                modules=_days("2025-05-20", "2025-05-27"),
                trainers=_TRAINERS,
            ),
        ),
        publishes(
            PUBLISHED,
            "trois jours",
            local_event(
                "L’IA en trois journées",
                "2025-05-20 09:30",
                "2025-05-27 17:00",
                10,
                modules=_days("2025-05-20", "2025-05-22", "2025-05-27"),
                evaluation_url="https://enquetes.example.org/trois-journees",
            ),
        ),
        asks("2025-03-10 10:00", GAELLE, "deux jours"),
        asks("2025-03-10 10:00", REMI, "trois jours"),
        changes("2025-04-14 10:00", "trois jours", modules=_days("2025-05-20", "2025-05-27")),
        attends("2025-05-21 10:00", GAELLE, "deux jours", [1]),
        withdraws("2025-05-21 10:00", GAELLE, "deux jours"),
        attends("2025-05-21 10:00", REMI, "trois jours", [1]),
        cancels("2025-05-23 10:00", "deux jours"),
    ],
    [
        listens(
            GAELLE,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-05-05 courriel convocation
            2025-05-13 courriel rappel
            2025-05-19 courriel rappel
            2025-05-21 portail  présence relevée
            2025-05-21 portail  refus : deadline_passed
            2025-05-21 courriel désistement refusé
            2025-05-23 portail  fin : session_cancelled, présence gardée
            2025-05-23 portail  présence relevée, attestation due
            2025-05-23 courriel annulation
            2025-05-23 courriel attestation
            """,
        ),
        listens(
            REMI,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-04-14 portail  session modifiée
            2025-04-14 courriel séance annulée
            2025-05-05 courriel convocation
            2025-05-13 courriel rappel
            2025-05-19 courriel rappel
            2025-05-21 portail  présence relevée
            2025-05-28 courriel évaluation
            """,
        ),
    ],
    ["2025-05-28 17:30"],
)

TAUGHT = Situation(
    "Gwenaëlle intervient dans deux sessions : l’une est reportée, l’autre annulée",
    "« Who teaches » (docs/domain.md), règle 11",
    [],
    [
        Listener(
            "Gwenaëlle Le Goff, formatrice",
            _TRAINER,
            """
            2025-02-27 courriel intervention annoncée
            2025-02-27 courriel intervention annoncée
            2025-04-14 courriel intervention modifiée
            2025-05-23 courriel intervention annulée
            """,
        )
    ],
)

TOGETHER = Situation(
    "Océane et Grégoire attendent ensemble : une place ne suffit pas, deux leur sont données à la fois",
    "règle 17 (une place dans la file ; la première place libérée leur est gardée)",
    [
        publishes(
            PUBLISHED,
            "ensemble",
            local_event("L’IA et les écoles", "2025-06-12 09:30", "2025-06-12 17:00", 2),
        ),
        asks("2025-03-10 10:00", extra(5, "bretagne"), "ensemble"),
        asks("2025-03-10 10:00", extra(6, "bretagne"), "ensemble"),
        ask_together("2025-03-11 10:00", [OCEANE, GREGOIRE], "ensemble", may_wait=True),
        withdraws("2025-04-14 10:00", extra(5, "bretagne"), "ensemble"),
        withdraws("2025-04-15 10:00", extra(6, "bretagne"), "ensemble"),
    ],
    [
        listens(
            agent,
            """
            2025-03-11 portail  liste d’attente, rang 1
            2025-03-11 courriel liste d’attente
            2025-04-15 portail  une place, de la liste d’attente
            2025-04-15 courriel place obtenue
            2025-05-28 courriel convocation
            2025-06-05 courriel rappel
            2025-06-11 courriel rappel
            """,
        )
        for agent in (OCEANE, GREGOIRE)
    ],
)


def _sheet(venue: str) -> str:
    """Return a sheet of one session, which it names by the organiser's own reference."""
    return (
        "Référence;Offre;Délégation;Titre;Début;Fin;Ouverture des inscriptions;Places;Lieu\n"
        "RENNES-7;ia-et-territoires;bretagne;L’IA et les parcs;17/06/2025 09:30;17/06/2025 17:00;"
        f"03/03/2025 09:00;20;{venue}\n"
    )


IMPORTED = Situation(
    "La session de Jérôme vient d’un tableau, importé deux fois ; le lieu change, il l’apprend une fois",
    "règle 20 (dire deux fois la même chose la fait une fois), règle 11",
    [
        imports(PUBLISHED, "importé", _sheet("Le Triangle, Rennes"), "created"),
        imports(PUBLISHED, "importé", _sheet("Le Triangle, Rennes"), "unchanged"),
        asks("2025-03-10 10:00", JEROME, "importé"),
        imports("2025-04-14 10:00", "importé", _sheet("Les Champs libres, Rennes"), "changed"),
        imports("2025-04-15 10:00", "importé", _sheet("Les Champs libres, Rennes"), "unchanged"),
    ],
    [
        listens(
            JEROME,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-04-14 portail  session modifiée
            2025-04-14 courriel modification
            2025-06-02 courriel convocation
            2025-06-10 courriel rappel
            2025-06-16 courriel rappel
            """,
        )
    ],
)

MOVED = Situation(
    "Irène veut changer de session : l’une est complète, l’autre a une place",
    "règle 18 (un seul courriel, deux décisions au portail)",
    [
        publishes(
            PUBLISHED,
            "avant",
            local_event("L’IA et l’accueil", "2025-06-19 09:30", "2025-06-19 17:00", 10),
        ),
        publishes(
            PUBLISHED,
            "après",
            local_event("L’IA et l’accueil", "2025-06-24 09:30", "2025-06-24 17:00", 10),
        ),
        asks("2025-03-10 10:00", IRENE, "avant"),
        asks("2025-04-22 10:00", IRENE, "avant", RequestKind.SWAP, to_session_id="complet"),
        asks("2025-05-05 10:00", IRENE, "avant", RequestKind.SWAP, to_session_id="après"),
        attends("2025-06-25 10:00", IRENE, "après"),
    ],
    [
        listens(
            IRENE,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-04-22 portail  refus : session_full
            2025-04-22 courriel changement refusé
            2025-05-05 portail  une place, par changement de session
            2025-05-05 portail  fin : moved
            2025-05-05 courriel changement de session
            2025-06-09 courriel convocation
            2025-06-17 courriel rappel
            2025-06-23 courriel rappel
            2025-06-25 portail  présence relevée, attestation due
            2025-06-25 courriel attestation
            """,
        )
    ],
    ["2025-06-04 10:00", "2025-06-12 10:00", "2025-06-18 10:00"],
)

SITUATIONS = (UNTIL_THE_END, OFFERED, POSTPONED, SECOND_DAY, TAUGHT, TOGETHER, IMPORTED, MOVED)
