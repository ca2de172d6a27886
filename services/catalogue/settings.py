from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from stdnum.fr import siret

from shared.events.vocabulary import Email, Siret
from shared.retention_settings import EnrolmentRetention, NotifierRetention, ReadLogRetention
from shared.settings import ServiceSettings
from shared.web.links import LinkSettings

ShortLine = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]


class TrainingOrganisation(BaseModel):
    """The body that LHEO names as responsible for the offer. The lengths are those of LHEO.

    ``audience_code`` is the Formacode of the audience; 80003 of the eighth edition is "agent de l'Etat et des
    collectivités locales".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activity_number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{11}$")]
    siret: Siret
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=250)]
    street: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    postal_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{5}$")]
    commune: ShortLine
    audience_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{5}$")] = "80003"
    formacode: ShortLine = "V8"

    @field_validator("siret")
    @classmethod
    def _is_siret(cls, number: str) -> str:
        if not siret.is_valid(number):
            raise ValueError("has a SIRET whose check digit does not fit")
        return number


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

    training_organisation: TrainingOrganisation | None = Field(
        default=None,
        description="JSON: whom /offre.lheo.xml names as responsible for the offer; unset: there is no LHEO.",
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
