"""Settings of the enrolment service, from the environment."""

import limits
from pydantic import Field, field_validator

from shared.links import LinkSettings
from shared.settings import ServiceSettings


class Settings(ServiceSettings, LinkSettings):
    """Where its database is, and how patient it is."""

    enrolment_database_url: str = Field(description="postgresql://user:password@host:port/name")
    enrolment_port: int = 8002
    enrolment_pending_session_seconds: float = Field(
        default=300, gt=0, description="How long a request waits for the event of its session."
    )
    enrolment_intake_rate: str = Field(
        default="600/minute",
        description="How many requests each portal may make by HTTP of one process, as 600/minute.",
    )

    @field_validator("enrolment_intake_rate")
    @classmethod
    def _is_a_rate(cls, rate: str) -> str:
        try:
            limits.parse(rate)
        except ValueError as error:
            raise ValueError(f"{rate!r} is not a rate such as 600/minute or 10/second") from error
        return rate

    @property
    def database_url(self) -> str:
        return self.enrolment_database_url

    @property
    def port(self) -> int:
        return self.enrolment_port
