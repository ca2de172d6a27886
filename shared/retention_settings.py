"""How long enrolments, letters and the log of reads are stored.

The catalogue publishes these settings too. Set them to the same values in all services.
"""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings

READS_KEPT_AT_LEAST = timedelta(days=180)
"""CNIL, recommandation sur la journalisation (2021): six months to a year."""


class EnrolmentRetention(BaseSettings):
    enrolment_ended_kept_days: int = Field(
        default=365,
        ge=90,  # requests are an inbox: a second delivery is recognised this long
        description="Days that refused, withdrawn and cancelled enrolments are kept, and requests.",
    )
    enrolment_attendance_kept_days: int = Field(
        default=5 * 365 + 1,
        ge=1,
        description="Days after the end of a session that its enrolments and attendance are kept.",
    )


class NotifierRetention(BaseSettings):
    notifier_mails_kept_days: int = Field(
        default=90, ge=1, description="Days after it was sent, or given up, that a mail is kept."
    )
    notifier_addresses_kept_days: int = Field(
        default=365,
        ge=1,
        description="Days after the end of a session that the addresses of its enrolled are kept.",
    )
    notifier_bounces_kept_days: int = Field(
        default=365,
        ge=1,
        description="Days that an address, as a digest, stays known for mails that came back.",
    )


class ReadLogRetention(BaseSettings):
    read_log_kept_days: int = Field(
        default=365,
        ge=READS_KEPT_AT_LEAST.days + 3,  # the clocks of services and databases differ
        description="Days that it is known who of the staff has read what is kept of whom.",
    )


def kept_days(settings: BaseSettings) -> Mapping[str, int]:
    return {name: value for name, value in settings if name.endswith("_kept_days")}
