"""Which claims give which role: what is not clear in the settings is refused when the service starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.auth import Role
from shared.oidc.settings import OidcSettings, RoleRule

ISSUER = "https://identite.example/realms/agents"
RULE = {"claim": "groups", "value": "admin", "role": "admin"}
WHOLE = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": "parcours",
    "oidc_client_secret": "a secret",
    "oidc_roles": [RULE],
}


def granted(rule: dict[str, Any], claims: dict[str, Any]) -> tuple[Role, str | None] | None:
    grant = RoleRule.model_validate(rule).grant(claims)
    return None if grant is None else (grant.role, grant.delegation)


@pytest.mark.parametrize(
    ("claims", "gives"),
    [
        ({"groups": ["x", "parcours-corse"]}, True),
        ({"groups": "parcours-corse"}, True),
        ({"groups": ["parcours-corse-2"]}, False),
        ({"groups": ["xparcours-corse"]}, False),
        ({"groups": ["parcours-corse\n"]}, False),
        ({"groups": ["parcours-atlantide"]}, False),
        ({"groups": ["parcours-atlantide", "parcours-corse"]}, True),
        ({"groups": [["parcours-corse"]]}, False),
        ({"groups": {"parcours-corse": True}}, False),
        ({}, False),
    ],
)
def test_a_rule_gives_a_role_in_the_delegation_that_the_claim_names(
    claims: dict[str, Any], gives: bool
) -> None:
    rule = {"claim": "groups", "value": "parcours-{delegation}", "role": "organiser"}
    assert granted(rule, claims) == ((Role.ORGANISER, "corse") if gives else None)


@pytest.mark.parametrize(
    ("verified", "gives"),
    [
        ({"email_verified": True}, True),
        ({"email_verified": False}, False),
        ({"email_verified": "true"}, False),
        ({}, False),
    ],
)
def test_an_address_gives_a_role_only_where_the_issuer_has_verified_it(
    verified: dict[str, Any], gives: bool
) -> None:
    rule = RULE | {"claim": "email", "value": "chef@cnfpt.example"}
    assert granted(rule, {"email": "chef@cnfpt.example"} | verified) == (
        (Role.ADMIN, None) if gives else None
    )


def test_a_claim_may_lie_within_another_or_have_a_name_with_dots() -> None:
    assert granted(RULE | {"claim": "realm_access.roles"}, {"realm_access": {"roles": ["admin"]}})
    assert granted(RULE | {"claim": "https://cnfpt.fr/roles"}, {"https://cnfpt.fr/roles": ["admin"]})
    assert granted(RULE | {"claim": "a.b"}, {"a": "admin"}) is None


def test_a_value_is_no_pattern() -> None:
    assert granted(RULE | {"value": ".*"}, {"groups": ["admin"]}) is None
    assert granted(RULE | {"value": ".*"}, {"groups": [".*"]})


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (RULE | {"role": "organiser"}, "names no delegation"),
        (RULE | {"value": "x-{delegation}", "delegation": "corse"}, "both"),
        (RULE | {"delegation": "atlantide"}, "delegation"),
        (RULE | {"role": "support", "delegation": "corse"}, "support acts everywhere"),
        (RULE | {"role": "support", "value": "x-{delegation}"}, "support acts everywhere"),
        (RULE | {"delegation": "corse"}, "admin acts everywhere"),
        (RULE | {"rolle": "admin"}, "rolle"),
        (RULE | {"value": ""}, "value"),
    ],
)
def test_a_rule_that_is_not_clear_gives_nothing(rule: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RoleRule.model_validate(rule)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"oidc_client_secret": ""}, "OIDC_CLIENT_SECRET"),
        ({"oidc_client_id": ""}, "OIDC_CLIENT_ID"),
        ({"oidc_roles": []}, "OIDC_ROLES"),
        ({"oidc_scope": "profile"}, "openid"),
        ({"oidc_issuer": "http://identite.example"}, "https"),
        ({"oidc_issuer": "ftp://localhost"}, "https"),
    ],
)
def test_an_issuer_that_could_not_be_used_is_refused_at_the_start(changes: dict[str, Any], why: str) -> None:
    assert "a secret" not in repr(OidcSettings.model_validate(WHOLE))
    with pytest.raises(ValidationError, match=why):
        OidcSettings.model_validate(WHOLE | changes)
