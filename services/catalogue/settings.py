from pydantic import Field, field_validator

from shared.events.vocabulary import Email
from shared.retention_settings import EnrolmentRetention, NotifierRetention, ReadLogRetention
from shared.settings import ServiceSettings
from shared.web.links import LinkSettings


class Settings(ServiceSettings, LinkSettings, ReadLogRetention, EnrolmentRetention, NotifierRetention):
    catalogue_database_url: str = Field(description="postgresql://user:password@host:port/name")
    catalogue_port: int = Field(default=8001, description="The port that the catalogue listens on.")
    catalogue_operations_port: int | None = Field(
        default=None, description="Health and metrics have this port; unset: that of all."
    )
    catalogue_bespoke_kept_days: int = Field(
        default=365,
        ge=1,
        description="Days after its last answer, or its receipt, that a bespoke request names who asked.",
    )
    catalogue_audit_kept_days: int = Field(
        default=5 * 365 + 1,
        ge=183,  # the database keeps half a year, and clocks differ
        description="Days that it is known who changed a session, a resource or a bespoke request.",
    )
    portal_url: str | None = Field(
        default=None,
        description="Where “S’inscrire” leads; {session_id} in it is replaced by the session's.",
    )

    public_contact: Email | None = Field(
        default=None, description="Whom readers of the pages write to when one keeps them out; an address."
    )

    publisher: str | None = Field(
        default=None,
        description="The body that publishes the pages and answers for the data.",
    )
    publisher_address: str | None = Field(default=None, description="Its postal address, in one line.")
    publisher_phone: str | None = Field(default=None, description="Its telephone number.")
    publication_director: str | None = Field(
        default=None, description="Who answers for what the pages say: a name, and in what office."
    )
    hosting_provider: str | None = Field(default=None, description="Who hosts the pages, by their full name.")
    hosting_address: str | None = Field(default=None, description="Their postal address, in one line.")
    hosting_phone: str | None = Field(default=None, description="Their telephone number.")
    dpo_contact: Email | None = Field(
        default=None, description="The address of the data protection officer, for the people concerned."
    )

    @field_validator(
        "public_contact",
        "publisher",
        "publisher_address",
        "publisher_phone",
        "publication_director",
        "hosting_provider",
        "hosting_address",
        "hosting_phone",
        "dpo_contact",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def database_url(self) -> str:
        return self.catalogue_database_url

    @property
    def port(self) -> int:
        return self.catalogue_port

    @property
    def operations_port(self) -> int | None:
        return self.catalogue_operations_port
