"""What an organiser hears by the day: whom letters do not reach, and a digest."""

from local.year.acts import asks
from local.year.by_mail import comes_back
from local.year.organising import publishes, wants_letters
from local.year.people import MARK, Listener, listens, person
from local.year.sessions import PUBLISHED, local_event
from local.year.situation import Situation

TIMOTHEE = person("Timothée", "Nuñez", "corse")
_ORGANISER, _DIGEST = f"organisation@corse.{MARK}.example", f"direction@corse.{MARK}.example"
_WANTED = {"organisers": [_ORGANISER], "digest": [_DIGEST]}

COMES_BACK = Situation(
    "La convocation de Timothée revient : on n’écrit plus à cette adresse, la délégation l’apprend",
    "table des courriels (résumé N), « Addresses that bounce » et « The digest » (docs/domain.md)",
    [
        publishes(
            PUBLISHED,
            "île",
            local_event(
                "L’IA et l’île",
                "2025-07-15 09:30",
                "2025-07-15 17:00",
                10,
                organiser="corse",
                venue="Délégation Corse, Ajaccio",
            ),
        ),
        asks("2025-03-10 10:00", TIMOTHEE, "île"),
        comes_back("2025-06-30 10:00", TIMOTHEE),
        wants_letters("2025-07-01 10:00", "corse", **_WANTED),
        wants_letters("2025-07-08 10:00", "corse", **_WANTED),
        wants_letters("2025-07-08 10:00", "corse"),
    ],
    [
        listens(
            TIMOTHEE,
            """
            2025-03-10 portail  une place
            2025-03-10 courriel inscription confirmée
            2025-06-30 courriel convocation
            """,
        ),
        Listener(
            "L’organisation de la délégation Corse",
            _ORGANISER,
            "2025-07-01 courriel des courriels n’arrivent pas",
        ),
        Listener(
            "La direction de la délégation Corse, qui veut un résumé",
            _DIGEST,
            """
            2025-07-01 courriel résumé du jour
            2025-07-08 courriel résumé du jour
            """,
        ),
    ],
    ["2025-07-14 10:00"],
)

SITUATIONS = (COMES_BACK,)
