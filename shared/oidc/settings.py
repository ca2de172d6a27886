import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from shared.events.vocabulary import Delegation
from shared.permissions import WITHIN_DELEGATION, Role

LOOPBACK = ("localhost", "127.0.0.1", "::1")
Claims = Mapping[str, object]
_ANY_DELEGATION = "{delegation}"


class RoleRule(BaseModel):
    """A person has the role if the claim is this value, or a list that contains it.

    ``claim`` is the name of a claim, or its path (``realm_access.roles``). ``{delegation}`` in ``value`` is
    the code of the delegation in which the role is given; otherwise ``delegation`` says which (null: all).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = Field(min_length=1)
    value: str = Field(min_length=1)
    role: Role
    delegation: Delegation | None = None

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        """Refuse a delegation that is missing or not enforced: the person would act everywhere."""
        by_value = _ANY_DELEGATION in self.value
        if by_value and self.delegation is not None:
            raise ValueError(f"has both a delegation and {_ANY_DELEGATION} in its value")
        if self.role in WITHIN_DELEGATION and not by_value and "delegation" not in self.model_fields_set:
            raise ValueError(f"names no delegation (null: all) and has no {_ANY_DELEGATION} in its value")
        if self.role not in WITHIN_DELEGATION and (by_value or self.delegation is not None):
            raise ValueError(f"names a delegation, but the role {self.role} acts everywhere")
        return self

    def grant(self, claims: Claims) -> "Grant | None":
        """Return None if the rule gives nothing. An address counts only if the issuer has verified it."""
        if self.claim == "email" and claims.get("email_verified") is not True:
            return None
        pattern = re.escape(self.value).replace(re.escape(_ANY_DELEGATION), "(?P<delegation>[a-z-]+)", 1)
        for value in _values(claims, self.claim):
            found = re.fullmatch(pattern, value)
            if found is None:
                continue
            named = found.groupdict().get("delegation")
            if named is None:
                return Grant(self.role, self.delegation, self.text)
            if named in set(Delegation):
                return Grant(self.role, Delegation(named), self.text)
        return None

    @property
    def text(self) -> str:
        """A log-in stores this line as the rule that gave its role."""
        return f"{self.claim}={self.value} {self.role} {self.delegation or '*'}"


@dataclass(frozen=True, slots=True)
class Grant:
    role: Role
    delegation: Delegation | None
    by: str


def _values(claims: Claims, name: str) -> list[str]:
    """A name with a dot is a path, unless a claim has that name."""
    found: object = claims
    for step in [name] if name in claims else name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    values: Sequence[object] = found if isinstance(found, list) else [found]
    return [value for value in values if isinstance(value, str)]


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A person has proved a second factor if the ID token has one of these ``acr`` or ``amr`` values."""

    acr: Sequence[str]
    amr: Sequence[str]

    def is_proved(self, claims: Claims) -> bool:
        return not {*self.acr}.isdisjoint(_values(claims, "acr")) or not {*self.amr}.isdisjoint(
            _values(claims, "amr")
        )


def safe_address(issuer: str) -> str:
    if not is_safe(issuer):
        raise ValueError("does not begin with https:// (http:// only on this machine)")
    return issuer


def _with_openid(scope: str) -> str:
    if "openid" not in scope.split():
        raise ValueError("has no openid in it")
    return scope


def _listed(sirets: str) -> str:
    if wrong := [siret for siret in sirets.split() if not re.fullmatch("[0-9]{14}", siret)]:
        raise ValueError(f"{wrong[0]} does not have 14 digits")
    return sirets


IssuerAddress = Annotated[str, AfterValidator(safe_address)]
Scope = Annotated[str, AfterValidator(_with_openid)]
Sirets = Annotated[str, AfterValidator(_listed)]


class IssuerClient(BaseModel):
    """What we are at an issuer. ``name`` is in our addresses for it. That of ``OIDC_ISSUER`` has none.

    ``label`` follows "Se connecter avec". With ``sirets``, only people of these organisations have a role.
    ``agents`` may log in too, to see their enrolments.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9-]{1,30}$")
    label: str = Field(min_length=1, max_length=50)
    issuer: IssuerAddress
    client_id: str = Field(min_length=1)
    client_secret: str = Field(min_length=1, repr=False)
    scope: Scope = "openid profile email"
    roles: tuple[RoleRule, ...] = ()
    acr_values: str = ""
    amr_values: str = "mfa"
    sirets: Sirets = ""
    agents: bool = False

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if not self.roles and not self.agents:
            raise ValueError("has no roles, and no agents log in there")
        return self

    @property
    def second_factor(self) -> SecondFactor:
        return SecondFactor(self.acr_values.split(), self.amr_values.split())

    def prefixed(self, by: str) -> str:
        """Rules of two issuers may have the same text."""
        return f"{self.name}: {by}" if self.name else by


class OidcSettings(BaseSettings):
    """Without an issuer, people log in by token."""

    oidc_issuer: IssuerAddress | None = Field(
        default=None, description="The issuer, as its discovery document names it."
    )
    oidc_client_id: str = Field(default="", description="Our name at the issuer.")
    oidc_client_secret: str = Field(default="", repr=False, description="Our secret at the issuer.")
    oidc_scope: Scope = Field(default="openid profile email", description="What the issuer is asked to say.")
    oidc_roles: list[RoleRule] = Field(
        default=[], description="Which claims give which role, in JSON; the first that fits counts."
    )
    oidc_acr_values: str = Field(
        default="", description="What the issuer calls a log-in with a second factor (acr); it is asked for."
    )
    oidc_amr_values: str = Field(
        default="mfa", description="Or how it calls the methods of such a log-in (amr)."
    )
    oidc_sirets: Sirets = Field(
        default="", description="The SIRETs whose people may log in, with spaces; empty: of any organisation."
    )
    oidc_agents: bool = Field(
        default=False,
        description="Agents log in too, to see their enrolments; the issuer checks its people's addresses.",
    )
    oidc_others: list[IssuerClient] = Field(
        default=[], repr=False, description="Further issuers beside the first, in JSON."
    )

    @property
    def issuer_clients(self) -> list[IssuerClient]:
        if self.oidc_issuer is None:
            return []
        first = IssuerClient.model_construct(
            name="",
            label="mon compte professionnel",
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            client_secret=self.oidc_client_secret,
            scope=self.oidc_scope,
            roles=tuple(self.oidc_roles),
            acr_values=self.oidc_acr_values,
            amr_values=self.oidc_amr_values,
            sirets=self.oidc_sirets,
            agents=self.oidc_agents,
        )
        return [first, *self.oidc_others]

    @property
    def login_weakness(self) -> str | None:
        """Return what makes log-ins of staff weaker than they could be, for the log."""
        of_staff = [client for client in self.issuer_clients if client.roles]
        if not of_staff:
            return "Staff log in by token, which is one factor: OIDC_ISSUER is not set, or gives no roles."
        weak = next((client for client in of_staff if not client.acr_values), None)
        if weak is None:
            return None
        setting = f"acr_values of {weak.name} in OIDC_OTHERS" if weak.name else "OIDC_ACR_VALUES"
        return (
            f"{setting} is not set: the issuer is not asked for a second factor. Grave acts, and the "
            "pages of support and admins, open only if an ID token says amr "
            f"{weak.amr_values or '(its amr values are empty too: never)'}."
        )

    @field_validator("oidc_issuer", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _has_what_an_issuer_needs(self) -> Self:
        if self.oidc_issuer is None:
            if self.oidc_others:
                raise ValueError("OIDC_OTHERS needs OIDC_ISSUER too")
            return self
        needed = {
            "OIDC_CLIENT_ID": self.oidc_client_id,
            "OIDC_CLIENT_SECRET": self.oidc_client_secret,
            "OIDC_ROLES": self.oidc_roles or self.oidc_agents,
        }
        if missing := [name for name, value in needed.items() if not value]:
            raise ValueError(f"OIDC_ISSUER needs {', '.join(missing)} too")
        names, issuers = (
            [getattr(client, field) for client in self.issuer_clients] for field in ("name", "issuer")
        )
        if len({*names}) < len(names) or len({*issuers}) < len(issuers):
            raise ValueError("OIDC_OTHERS has a name or an issuer twice")
        return self


def is_safe(address: str) -> bool:
    """Return whether nobody can read on the way the data sent to this address."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
