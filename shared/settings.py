"""Settings that every service has. All come from the environment; each service adds its own."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from shared.database import async_url
from shared.messaging.broker import KafkaSettings
from shared.messaging.portals.registry import PortalSettings
from shared.published_secrets import is_published
from shared.web.security_txt import SecuritySettings


class ServiceSettings(KafkaSettings, PortalSettings, SecuritySettings):
    """What a process needs besides its own database and port."""

    http_host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    forwarded_allow_ips: str = Field(
        default="127.0.0.1", description="Proxies whose X-Forwarded-For is believed: addresses, networks."
    )
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

    @model_validator(mode="after")
    def _nothing_is_sent_in_clear(self) -> Self:  # noqa: N804 called on what was built
        if self.kafka_security_protocol == "SASL_PLAINTEXT" and not self.parcours_trial:
            raise ValueError(
                "KAFKA_SECURITY_PROTOCOL SASL_PLAINTEXT sends personal data, and a PLAIN password, for all "
                "on the network to read; use SASL_SSL (only a trial, PARCOURS_TRIAL=1, may do without)"
            )
        return self

    @model_validator(mode="after")
    def _has_its_own_secrets(self) -> Self:  # noqa: N804 called on what was built
        if self.parcours_trial:
            return self
        intake = self.intake_signing_key
        keys = {
            "INTAKE_SIGNING_KEY": [] if intake is None else [intake.get_secret_value()],
            "LINK_SIGNING_KEY": getattr(self, "link_keys", []),
        }
        for name, secrets in keys.items():
            if any(map(is_published, secrets)):
                raise ValueError(
                    f"{name} stands in this project for all to read: only for trials (PARCOURS_TRIAL=1)"
                )
        return self

    @field_validator("*", mode="after")
    @classmethod
    def _database_urls(cls, value: object, info: object) -> object:
        if str(getattr(info, "field_name", "")).endswith("_database_url") and isinstance(value, str):
            async_url(value)
        return value
