"""Which claims give which role: what is not clear in the settings is refused when the service starts."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.auth import Role
from shared.oidc.settings import OidcSettings, RoleRule
from shared.web.logins.browsers import browser_of

ISSUER = "https://identite.example/realms/agents"
RULE = {"claim": "groups", "value": "admin", "role": "admin"}
WHOLE = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": "parcours",
    "oidc_client_secret": "s",
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
    OidcSettings.model_validate(WHOLE)
    with pytest.raises(ValidationError, match=why):
        OidcSettings.model_validate(WHOLE | changes)


def test_the_environment_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "OIDC_ISSUER": ISSUER,
        "OIDC_CLIENT_ID": "parcours",
        "OIDC_CLIENT_SECRET": "a secret",
        "OIDC_ROLES": json.dumps([RULE]),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = OidcSettings()
    assert settings.oidc_client_secret == "a secret"
    assert "a secret" not in repr(settings)
    assert settings.oidc_roles[0].role is Role.ADMIN


def test_without_an_issuer_nothing_else_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_ISSUER", "")
    assert OidcSettings().oidc_issuer is None


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari, iPhone",
        ),
        ("curl/8.0", ""),
        ("<script>", ""),
    ],
)
def test_a_browser_is_shown_by_its_name_and_system(user_agent: str, shown: str) -> None:
    assert browser_of(user_agent) == shown
