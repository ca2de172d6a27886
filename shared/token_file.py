"""``API_TOKENS_FILE``: whose the tokens of the management APIs are, and what they may do."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from shared.events.vocabulary import Delegation
from shared.failures import OperatorError
from shared.permissions import WITHIN_DELEGATION, Role
from shared.published_secrets import is_published_digest


class TokenOwner(BaseModel):
    name: str
    role: Role
    delegation: str | None = None


class UnreadableTokens(OperatorError):
    pass


class TokenEntry(TokenOwner):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    not_after: AwareDatetime | None = None

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        """Refuse a delegation that is missing, misspelt or not enforced: its owner would act everywhere."""
        if self.role in WITHIN_DELEGATION and "delegation" not in self.model_fields_set:
            raise ValueError(f"a token of role {self.role} names its delegation (null: of all)")
        if self.role not in WITHIN_DELEGATION and self.delegation is not None:
            raise ValueError(f"a token of role {self.role} acts everywhere, and cannot have a delegation")
        if self.delegation is not None and self.delegation not in set(Delegation):
            raise ValueError(f"there is no delegation {self.delegation!r}")
        return self


def read_tokens(path: Path | None, *, trial: bool) -> list[TokenEntry]:
    """Without a path there are no tokens. Raises :class:`UnreadableTokens`."""
    if path is None:
        return []
    try:
        entries = _ENTRIES.validate_json(path.read_bytes())
    except OSError as error:
        raise UnreadableTokens(f"API_TOKENS_FILE {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise UnreadableTokens(f"API_TOKENS_FILE {path}: {where}: {fault['msg']}") from error
    for entry in entries:
        if not trial and is_published_digest(entry.sha256):
            raise UnreadableTokens(
                f"API_TOKENS_FILE {path}: the token {entry.name!r} stands in this project for all to read, "
                "and is only for trials (PARCOURS_TRIAL=1)"
            )
    if len({entry.sha256 for entry in entries}) < len(entries):
        raise UnreadableTokens(f"API_TOKENS_FILE {path}: a token stands there twice")
    return entries


_ENTRIES = TypeAdapter(list[TokenEntry])
