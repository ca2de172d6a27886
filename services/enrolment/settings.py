"""Settings of the enrolment service, from the environment."""

from pydantic import Field

from shared.links import LinkSettings
from shared.settings import ServiceSettings


class Settings(ServiceSettings, LinkSettings):
    """Where its database is, and how patient it is."""

    enrolment_database_url: str = Field(description="postgresql://user:password@host:port/name")
    enrolment_port: int = 8002
    enrolment_pending_session_seconds: float = Field(
        default=300, gt=0, description="How long a request waits for the event of its session."
    )

    @property
    def database_url(self) -> str:
        return self.enrolment_database_url

    @property
    def port(self) -> int:
        return self.enrolment_port
