"""Which claims give which role: what is not clear in the settings is refused when the service starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.oidc.settings import OidcSettings, RoleRule
from shared.permissions import Role

ISSUER = "https://identite.example/realms/agents"
RULE = {"claim": "groups", "value": "admin", "role": "admin"}
WHOLE = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": "parcours",
    "oidc_client_secret": "a secret",
    "oidc_roles": [RULE],
}


OTHER = {
    "name": "proconnect",
    "label": "ProConnect",
    "issuer": "https://proconnect.example",
    "client_id": "parcours",
    "client_secret": "a secret",
    "roles": [RULE],
}
OF_CORSICA = {"claim": "groups", "value": "parcours-{delegation}", "role": "organiser"}
BY_ADDRESS = RULE | {"claim": "email", "value": "chef@cnfpt.example"}
ADDRESS = {"email": "chef@cnfpt.example"}
CORSICA, ADMIN = (Role.ORGANISER, "corse"), (Role.ADMIN, None)


@pytest.mark.parametrize(
    ("rule", "claims", "given"),
    [
        (OF_CORSICA, {"groups": ["x", "parcours-corse"]}, CORSICA),
        (OF_CORSICA, {"groups": "parcours-corse"}, CORSICA),
        (OF_CORSICA, {"groups": ["parcours-atlantide", "parcours-corse"]}, CORSICA),
        (OF_CORSICA, {"groups": ["parcours-corse-2"]}, None),
        (OF_CORSICA, {"groups": ["xparcours-corse"]}, None),
        (OF_CORSICA, {"groups": ["parcours-corse\n"]}, None),
        (OF_CORSICA, {"groups": ["parcours-atlantide"]}, None),
        (OF_CORSICA, {"groups": [["parcours-corse"]]}, None),
        (OF_CORSICA, {"groups": {"parcours-corse": True}}, None),
        (OF_CORSICA, {}, None),
        (BY_ADDRESS, ADDRESS | {"email_verified": True}, ADMIN),
        (BY_ADDRESS, ADDRESS | {"email_verified": False}, None),
        (BY_ADDRESS, ADDRESS | {"email_verified": "true"}, None),
        (BY_ADDRESS, ADDRESS, None),
        (RULE | {"claim": "realm_access.roles"}, {"realm_access": {"roles": ["admin"]}}, ADMIN),
        (RULE | {"claim": "https://cnfpt.fr/roles"}, {"https://cnfpt.fr/roles": ["admin"]}, ADMIN),
        (RULE | {"claim": "a.b"}, {"a": "admin"}, None),
        (RULE | {"value": ".*"}, {"groups": ["admin"]}, None),  # a value is no pattern
        (RULE | {"value": ".*"}, {"groups": [".*"]}, ADMIN),
    ],
)
def test_a_rule_gives_a_role_for_a_claim_that_is_clear_and_an_address_that_is_verified(
    rule: dict[str, Any], claims: dict[str, Any], given: tuple[Role, str | None] | None
) -> None:
    grant = RoleRule.model_validate(rule).grant(claims)
    assert (grant and (grant.role, grant.delegation)) == given


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
        ({"oidc_sirets": "18001404500009 1800140450000"}, "14 digits"),
        ({"oidc_issuer": "", "oidc_others": [OTHER]}, "needs OIDC_ISSUER"),
        ({"oidc_others": [OTHER, OTHER]}, "twice"),
        ({"oidc_others": [OTHER | {"issuer": ISSUER}]}, "twice"),
        ({"oidc_others": [OTHER | {"name": ""}]}, "name"),
        ({"oidc_others": [OTHER | {"roles": []}]}, "has no roles"),
        ({"oidc_others": [OTHER | {"scope": "email"}]}, "openid"),
    ],
)
def test_an_issuer_that_could_not_be_used_is_refused_at_the_start(changes: dict[str, Any], why: str) -> None:
    assert "a secret" not in repr(OidcSettings.model_validate(WHOLE | {"oidc_others": [OTHER]}))
    with pytest.raises(ValidationError, match=why):
        OidcSettings.model_validate(WHOLE | changes)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"oidc_issuer": ""}, "one factor"),
        ({}, "says amr mfa"),
        ({"oidc_amr_values": ""}, "never"),
        ({"oidc_acr_values": "eidas2"}, None),
        ({"oidc_acr_values": "eidas2", "oidc_others": [OTHER]}, "acr_values of proconnect"),
    ],
)
def test_settings_that_ask_for_no_second_factor_are_warned_of(
    changes: dict[str, Any], warning: str | None
) -> None:
    weakness = OidcSettings.model_validate(WHOLE | changes).login_weakness
    assert (weakness is None) if warning is None else (weakness is not None and warning in weakness)
