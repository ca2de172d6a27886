"""Who is refused, and why; and who answers the questions that a session asks."""

from local.demo.portal import RequestKind
from local.year.acts import ask_together, asks, request_id
from local.year.organising import attends, attends_by_sheet, publishes
from local.year.people import extra, listens, person
from local.year.sessions import PUBLISHED, local_event
from local.year.situation import Situation

SEGOLENE = person("Ségolène", "Château", "bretagne")
MICKAEL = person("Mickaël", "Lefèvre", "bretagne")
_UNASKED = request_id("withdrawn without a seat")

QUESTIONS = Situation(
    "Ségolène répond aux questions à la troisième fois ; sa présence est relevée, puis corrigée",
    "« Questions at enrolment » (docs/domain.md), règle 9 (l’attestation est due à qui était là)",
    [
        publishes(
            PUBLISHED,
            "questions",
            local_event(
                "L’IA et les bibliothèques",
                "2025-06-24 09:30",
                "2025-06-24 17:00",
                10,
                questions=[
                    {
                        "question_id": "attentes",
                        "kind": "text",
                        "label": "Qu’attendez-vous de cette journée ?",
                        "required": True,
                    }
                ],
            ),
        ),
        asks("2025-03-10 10:00", SEGOLENE, "questions"),
        asks("2025-03-11 10:00", SEGOLENE, "questions", answers={"attentes": "Comprendre", "repas": "Oui"}),
        asks("2025-03-12 10:00", SEGOLENE, "questions", answers={"attentes": "Comprendre"}),
        attends_by_sheet("2025-06-25 10:00", SEGOLENE, "questions"),
        attends("2025-06-30 10:00", SEGOLENE, "questions", attendance="absent"),
    ],
    [
        listens(
            SEGOLENE,
            """
            2025-03-10 portail  refus : answer_missing
            2025-03-10 courriel refus
            2025-03-11 portail  refus : answer_not_expected
            2025-03-11 courriel refus
            2025-03-12 portail  une place
            2025-03-12 courriel inscription confirmée
            2025-06-09 courriel convocation
            2025-06-17 courriel rappel
            2025-06-23 courriel rappel
            2025-06-25 portail  présence relevée, attestation due
            2025-06-25 courriel attestation
            2025-06-30 portail  absence relevée
            """,
        )
    ],
)

REFUSED = Situation(
    "Mickaël demande partout, et chaque fois autre chose s’y oppose",
    "motifs de refus (« Each has a French sentence »), règles 4, 6, 14, six formats (inet, sur mesure)",
    [
        publishes(
            PUBLISHED,
            "une place par collectivité",
            local_event(
                "L’IA et les musées", "2025-06-17 09:30", "2025-06-17 17:00", 10, quota_per_authority=1
            ),
        ),
        asks(PUBLISHED, MICKAEL, "complet"),
        asks("2025-03-10 10:00", MICKAEL, "inet"),
        asks("2025-03-10 10:00", extra(7, "bretagne"), "une place par collectivité"),
        asks("2025-03-11 10:00", MICKAEL, "après le mooc"),
        ask_together("2025-03-12 10:00", [MICKAEL, extra(8, "bretagne")], "complet"),
        asks("2025-03-13 10:00", MICKAEL, "ouvert", RequestKind.WITHDRAWAL, ce_id=_UNASKED),
        asks("2025-03-18 10:00", MICKAEL, "une place par collectivité"),
        asks("2025-04-15 10:00", MICKAEL, "sur mesure"),
        asks("2025-05-26 10:00", MICKAEL, "deux jours"),
    ],
    [
        listens(
            MICKAEL,
            """
            2025-02-27 portail  refus : not_open_yet
            2025-02-27 courriel refus
            2025-03-10 portail  refus : not_eligible
            2025-03-10 courriel refus
            2025-03-11 portail  refus : prerequisite_missing
            2025-03-11 courriel refus
            2025-03-12 portail  refus : group_does_not_fit
            2025-03-12 courriel refus
            2025-03-13 portail  rejet : not_yours
            2025-03-18 portail  refus : quota_reached
            2025-03-18 courriel refus
            2025-04-15 portail  refus : not_nominated
            2025-04-15 courriel refus
            2025-05-26 portail  refus : session_cancelled
            2025-05-26 courriel refus
            """,
            _UNASKED,
        )
    ],
)

SITUATIONS = (QUESTIONS, REFUSED)
