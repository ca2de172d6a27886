from pydantic import BaseModel, ConfigDict


class ServiceCommand(BaseModel):
    """A request to do something: frozen, and with no field that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def not_null(value: object) -> object:
    if value is None:
        raise ValueError("may be left out, but not null")
    return value
