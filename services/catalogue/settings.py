"""Settings of the catalogue, from the environment."""

from pydantic import Field, field_validator

from shared.events.vocabulary import Email
from shared.settings import ServiceSettings
from shared.web.links import LinkSettings


class Settings(ServiceSettings, LinkSettings):
    """Where its database is, which port it listens on, and where its readers go from its pages."""

    catalogue_database_url: str = Field(description="postgresql://user:password@host:port/name")
    catalogue_port: int = 8001
    catalogue_bespoke_kept_days: int = Field(
        default=365,
        ge=1,
        description="Days after its last answer, or its receipt, that a bespoke request names who asked.",
    )
    portal_url: str | None = Field(
        default=None,
        description="Where “S’inscrire” leads; {session_id} in it is replaced by the session's.",
    )

    public_contact: Email | None = Field(
        default=None, description="Whom readers of the pages write to when one keeps them out; an address."
    )

    @field_validator("public_contact", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def database_url(self) -> str:
        return self.catalogue_database_url

    @property
    def port(self) -> int:
        return self.catalogue_port
