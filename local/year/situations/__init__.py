"""The situations of the year, by what they are about. What each hears is written by hand."""

import json
from collections.abc import Mapping, Sequence

from local.year.keeping import Retention
from local.year.situation import Situation
from local.year.situations import chosen, events, online, organisers, people, refusals

ALL: Sequence[Situation] = (
    *online.SITUATIONS,
    *events.SITUATIONS,
    *chosen.SITUATIONS,
    *people.SITUATIONS,
    *refusals.SITUATIONS,
    *organisers.SITUATIONS,
)

SETTINGS: Mapping[str, str] = {
    "DELEGATION_CONTACTS": json.dumps(
        {"inet": {"organisers": [chosen.OF_INET]}, "bretagne": {"organisers": [chosen.OF_BRITTANY]}}
    ),
    "BOUNCE_ADDRESS": "retours@cnfpt.example",
}
"""What the services are told of this year's organisers, and of where letters come back to."""

RETENTION: Sequence[Retention] = (
    Retention(
        "2025-12-01 10:00",
        "90 days after the last letter the mails are gone",
        gone=["notifier.mail"],
        there=["enrolment.enrolment", "notifier.enrolment"],
    ),
    Retention(
        "2026-10-01 10:00",
        "a year later addresses are gone, and who was refused, withdrew or waited",
        gone=["notifier.*", "catalogue.*", "enrolment.request", "enrolment.correction"],
        there=["enrolment.enrolment"],
    ),
    Retention("2030-10-01 10:00", "five years later nobody is known", gone=["*"]),
)
"""By the periods in docs/personal-data.md."""
