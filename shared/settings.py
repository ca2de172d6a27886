"""Settings that every service has. All come from the environment; each service adds its own."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from shared.database import async_url
from shared.messaging.broker import KafkaSettings
from shared.messaging.portals.registry import PortalSettings


class ServiceSettings(KafkaSettings, PortalSettings):
    """What a process needs besides its own database and port."""

    http_host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    api_tokens_file: Path | None = Field(default=None, description="JSON list of hashed bearer tokens.")
    stalled_seconds: float = Field(
        default=120, gt=0, description="A consumer that has records but makes no progress ends the process."
    )

    @property
    def database_url(self) -> str:
        """This service's own ``<SERVICE>_DATABASE_URL``."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        """This service's own ``<SERVICE>_PORT``."""
        raise NotImplementedError

    @field_validator("*", mode="after")
    @classmethod
    def _database_urls(cls, value: object, info: object) -> object:
        if str(getattr(info, "field_name", "")).endswith("_database_url") and isinstance(value, str):
            async_url(value)
        return value
