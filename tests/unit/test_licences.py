"""Nothing is in an image whose licence nobody has allowed, and each licence can be read."""

import re

import pytest

from tests.support.licences import DOCUMENT, Package, packages


def test_every_package_of_a_service_has_an_allowed_licence() -> None:
    refused = [package for package in packages() if not package.is_allowed]
    assert refused == [], (
        "decide, then add the licence to ALLOWED in tests/support/licences.py or drop the package"
    )


def test_the_document_has_every_package() -> None:
    """And may have more: another version of Python needs other packages."""
    written = DOCUMENT.read_text().replace("\n  ", " ")
    missing = [
        package
        for package in packages()
        if not re.search(rf"(?m)^- {re.escape(package.licence)}:.* {re.escape(package.title)}(,|$)", written)
    ]
    assert missing == [], "run 'make licences'"


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("(MIT OR Apache-2.0) AND PSF-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR SSPL-1.0)", False),
        ("none is named", False),
    ],
)
def test_every_part_of_a_licence_is_allowed(licence: str, *, allowed: bool) -> None:
    assert Package("example", licence, ("catalogue",)).is_allowed is allowed
