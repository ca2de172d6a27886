from pydantic import BaseModel, ConfigDict


class ServiceCommand(BaseModel):
    """A frozen request without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def not_null(value: object) -> object:
    if value is None:
        raise ValueError("may be left out, but not null")
    return value
