"""Settings of the catalogue, from the environment."""

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Where its database is and which port it listens on."""

    catalogue_database_url: str = Field(description="postgresql://user:password@host:port/name")
    catalogue_port: int = 8001

    @property
    def database_url(self) -> str:
        return self.catalogue_database_url

    @property
    def port(self) -> int:
        return self.catalogue_port
