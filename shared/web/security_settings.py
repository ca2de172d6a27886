from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class SecuritySettings(BaseSettings):
    security_contact: str = Field(
        default="", description="Whom to tell of a weakness: an address, or the https address of a form."
    )
    security_policy_url: str = Field(
        default="", description="The https address of what is asked of whoever looks for weaknesses."
    )

    @field_validator("security_contact")
    @classmethod
    def _is_a_contact(cls, value: str) -> str:
        if not value or _is_https(value):
            return value
        address = value.removeprefix("mailto:")
        local, _, domain = address.rpartition("@")
        if not local or not domain or not address.isascii() or not address.isprintable() or " " in address:
            raise ValueError(
                "is not an address such as securite@example.fr, nor one that begins with https://"
            )
        return f"mailto:{address}"

    @field_validator("security_policy_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not _is_https(value):
            raise ValueError("is not the address of a page, which begins with https://")
        return value


def _is_https(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme == "https" and bool(parts.hostname) and value.isascii() and " " not in value
