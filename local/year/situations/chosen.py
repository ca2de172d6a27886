"""INET, and the sessions of one authority: who is chosen, nominated or too few."""

from local.demo.portal import officer_of
from local.year.acts import asks, asks_for_training, is_approved, nominates, request_id, withdraws
from local.year.organising import answers_authority, cancels, publishes, ranks
from local.year.people import MARK, Listener, extra, listens, person
from local.year.sessions import PUBLISHED, of_inet, private
from local.year.situation import Situation

OF_INET, OF_BRITTANY = f"selection@inet.{MARK}.example", f"organisation@bretagne.{MARK}.example"

AMELIE = person("Amélie", "Roche-Brune", "bretagne", "chef_de_service")
BENOIT = person("Benoît", "Chevrière", "bretagne", "encadrant")
CECILE = person("Cécile", "Kœnig", "bretagne", "chef_de_service")
_RIVAL = extra(4, "normandie", "dirigeant")

TWO_STEPS = Situation(
    "À l’Inet, Amélie passe les deux étapes et la ligne ; l’employeur de Benoît se tait ; Cécile échoue",
    "règles 5, 15 et 16",
    [
        publishes(
            PUBLISHED,
            "inet",
            of_inet(
                "Conduire la transition numérique, session de juin",
                "2025-06-17 09:30",
                "2025-06-17 17:00",
                1,
                approval="employer_then_selection",
            ),
        ),
        asks("2025-03-10 10:00", _RIVAL, "inet"),
        asks("2025-03-11 10:00", AMELIE, "inet"),
        asks("2025-03-11 10:00", BENOIT, "inet"),
        asks("2025-03-11 10:00", CECILE, "inet"),
        is_approved("2025-03-18 10:00", _RIVAL, "inet"),
        is_approved("2025-03-18 10:00", AMELIE, "inet"),
        is_approved("2025-03-18 10:00", CECILE, "inet"),
        ranks("2025-05-28 10:00", "inet", _RIVAL, AMELIE, refused=[CECILE]),
        withdraws("2025-05-30 10:00", _RIVAL, "inet"),
    ],
    [
        listens(
            AMELIE,
            """
            2025-03-11 portail  à décider : accord de l’employeur
            2025-03-11 courriel accusé de réception
            2025-03-18 portail  à décider : sélection
            2025-03-18 courriel accusé de réception
            2025-05-28 portail  liste d’attente, rang 1
            2025-05-28 courriel liste d’attente
            2025-05-30 portail  une place, de la liste d’attente
            2025-05-30 courriel place obtenue
            2025-06-02 courriel convocation
            2025-06-10 courriel rappel
            2025-06-16 courriel rappel
            """,
        ),
        listens(
            BENOIT,
            """
            2025-03-11 portail  à décider : accord de l’employeur
            2025-03-11 courriel accusé de réception
            2025-05-27 portail  refus : approval_denied
            2025-05-27 courriel refus
            """,
        ),
        listens(
            CECILE,
            """
            2025-03-11 portail  à décider : accord de l’employeur
            2025-03-11 courriel accusé de réception
            2025-03-18 portail  à décider : sélection
            2025-03-18 courriel accusé de réception
            2025-05-28 portail  refus : not_selected
            2025-05-28 courriel refus
            """,
        ),
        Listener("L’organisation de l’Inet", OF_INET, "2025-05-27 courriel candidatures à classer"),
    ],
)

_TRAINEES = [extra(number, "bretagne") for number in range(21, 32)]
THEO = person("Théo", "Saint-Père", "bretagne")
MAELYS = person("Maëlys", "Hoarau", "bretagne")
_LIST = [*_TRAINEES, THEO]

FALLS_ILL = Situation(
    "Nadia Renard, responsable de formation : Théo, de sa liste, tombe malade et Maëlys le remplace",
    "règle 14 (accusés, remplacement après la clôture de la liste)",
    [
        asks_for_training("2025-03-04 10:00", "sur mesure", _LIST),
        answers_authority("2025-03-06 10:00", "sur mesure", "proposed"),
        answers_authority(
            "2025-03-13 10:00",
            "sur mesure",
            "agreed",
            private("Les enjeux de l’IA à Ploërmeur", "2025-06-05 09:30", "2025-06-05 17:00", 12),
        ),
        nominates("2025-04-15 10:00", "sur mesure", _LIST),
        withdraws("2025-05-26 10:00", THEO, "sur mesure"),
        withdraws("2025-05-27 10:00", THEO, "sur mesure"),
        nominates("2025-05-27 10:00", "sur mesure", [*_TRAINEES, MAELYS], 2),
    ],
    [
        Listener(
            "Nadia Renard, responsable de formation",
            officer_of(_LIST[0])["email"],
            """
            2025-03-04 portail  demande prise en compte
            2025-03-04 courriel accusé d’une demande sur mesure
            2025-03-06 portail  réponse sur mesure : proposed
            2025-03-06 courriel réponse à une demande sur mesure
            2025-03-13 portail  réponse sur mesure : agreed
            2025-03-13 courriel réponse à une demande sur mesure
            2025-04-15 courriel accusé d’une liste de stagiaires
            2025-05-27 courriel accusé d’une liste de stagiaires
            """,
            requests=(request_id("sur mesure/asked"),),
        ),
        listens(
            THEO,
            """
            2025-04-15 portail  une place
            2025-04-15 courriel inscription confirmée
            2025-05-21 courriel convocation
            2025-05-26 portail  fin : agent
            2025-05-26 courriel désistement enregistré
            2025-05-27 portail  refus : not_enrolled
            """,
        ),
        listens(
            MAELYS,
            """
            2025-05-27 portail  une place
            2025-05-27 courriel inscription confirmée et convocation
            2025-05-29 courriel rappel
            2025-06-04 courriel rappel
            """,
        ),
    ],
)

LAETITIA = person("Lætitia", "Vallée", "bretagne")

TOO_FEW = Situation(
    "Trop peu de stagiaires : l’organisation l’apprend à la clôture, décide d’annuler, et Lætitia l’apprend",
    "règles 8, 14 et 15 (rien ne se décide tout seul)",
    [
        asks_for_training("2025-03-04 10:00", "trop peu", [LAETITIA]),
        answers_authority("2025-03-06 10:00", "trop peu", "proposed"),
        answers_authority(
            "2025-03-13 10:00",
            "trop peu",
            "agreed",
            private("Les enjeux de l’IA, seconde session", "2025-06-03 09:30", "2025-06-03 17:00", 12),
        ),
        nominates("2025-04-15 10:00", "trop peu", [LAETITIA, extra(41, "bretagne"), extra(42, "bretagne")]),
        cancels("2025-05-22 10:00", "trop peu"),
    ],
    [
        Listener(
            "L’organisation de la délégation Bretagne",
            OF_BRITTANY,
            "2025-05-19 courriel trop peu de participants, à décider",
        ),
        listens(
            LAETITIA,
            """
            2025-04-15 portail  une place
            2025-04-15 courriel inscription confirmée
            2025-05-19 courriel convocation
            2025-05-22 portail  fin : session_cancelled
            2025-05-22 courriel annulation
            """,
        ),
    ],
)

SITUATIONS = (TWO_STEPS, FALLS_ILL, TOO_FEW)
