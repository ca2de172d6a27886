from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from services.enrolment.rules.policy import Policy
from shared.oidc.settings import safe_address
from shared.retention_settings import EnrolmentRetention, ReadLogRetention
from shared.settings import ServiceSettings
from shared.web.links import LinkSettings


class Settings(ServiceSettings, LinkSettings, ReadLogRetention, EnrolmentRetention):
    enrolment_database_url: str = Field(description="postgresql://user:password@host:port/name")
    enrolment_port: int = Field(default=8002, description="The port that enrolment listens on.")
    enrolment_operations_port: int | None = Field(
        default=None, description="Health and metrics have this port; unset: that of all."
    )
    enrolment_pending_session_seconds: float = Field(
        default=300, gt=0, description="How long a request waits at least for the event of its session."
    )
    enrolment_last_offer_hours: float = Field(
        default=48, ge=0, description="Before the start: no seat is offered to the line later."
    )
    enrolment_grace_seconds: float = Field(
        default=5, ge=0, description="How long after its end an offer waits for an answer on its way."
    )
    enrolment_longest_hold_seconds: float | None = Field(
        default=None, gt=0, description="Shortens every hold of a seat, for a rehearsal."
    )
    enrolment_group_keeps_days: float = Field(
        default=7, ge=0, description="How long a group that waits keeps seats that are too few for it."
    )
    enrolment_overlap_check: bool = Field(
        default=False, description="Refuse who is enrolled, or waits, in another session at the time."
    )
    enrolment_messages_a_day: int = Field(
        default=1, ge=1, le=24, description="Messages of its organiser to who is in a session, on one day."
    )
    certificate_signatory: str = Field(
        default="",
        max_length=200,
        description="Who signs certificates, with the function; empty: the delegation that organises.",
    )
    employer_search_url: Annotated[str, AfterValidator(safe_address)] | None = Field(
        default=None,
        description="The State's search of companies, for employers that are not known; unset: not asked.",
    )
    enrolment_intake_rate: str = Field(
        default="30000/minute",
        description="How many events each portal may send by HTTP, to all processes together.",
    )

    @property
    def policy(self) -> Policy:
        longest = self.enrolment_longest_hold_seconds
        return Policy(
            last_offer=timedelta(hours=self.enrolment_last_offer_hours),
            grace=timedelta(seconds=self.enrolment_grace_seconds),
            longest_hold=None if longest is None else timedelta(seconds=longest),
            group_keeps=timedelta(days=self.enrolment_group_keeps_days),
            overlap_check=self.enrolment_overlap_check,
            messages_a_day=self.enrolment_messages_a_day,
        )

    @property
    def database_url(self) -> str:
        return self.enrolment_database_url

    @property
    def port(self) -> int:
        return self.enrolment_port

    @property
    def operations_port(self) -> int | None:
        return self.enrolment_operations_port
