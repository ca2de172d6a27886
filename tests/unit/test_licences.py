"""Nothing is in an image whose licence nobody has allowed, and each licence can be read."""

from email.message import Message

import pytest

from tests.support.licences import ALLOWED, DOCUMENT, Package, document, licence_in, locked, packages


def a_package(licence: str) -> Package:
    return Package("example", licence, ("catalogue",))


def metadata_with(*fields: tuple[str, str]) -> Message:
    message = Message()
    for name, value in fields:
        message[name] = value
    return message


def test_every_package_of_a_service_has_an_allowed_licence() -> None:
    refused = [package.row for package in packages() if not package.is_allowed]
    assert refused == [], (
        "decide, then add the licence to ALLOWED in tests/support/licences.py or drop the package"
    )


def test_the_document_has_every_package() -> None:
    written = DOCUMENT.read_text().splitlines()
    missing = [package.row for package in packages() if package.row not in written]
    assert missing == [], "run 'make licences'"
    # Another version of Python needs others of those that are locked, and none that are not.
    assert set(document([]).splitlines()) <= set(written)


def test_the_services_are_made_of_what_is_looked_at() -> None:
    in_all = {name for name, services in locked().items() if len(services) == 3}
    assert {"fastapi", "aiokafka", "sqlalchemy"} <= in_all


@pytest.mark.parametrize(
    "licence", ["AGPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT OR SSPL-1.0)", "none is named"]
)
def test_a_licence_that_is_not_in_the_list_is_refused(licence: str) -> None:
    assert not a_package(licence).is_allowed


def test_a_licence_made_of_allowed_ones_is_allowed() -> None:
    assert all(a_package(licence).is_allowed for licence in ALLOWED)
    assert a_package("(MIT OR Apache-2.0) AND PSF-2.0").is_allowed


def test_a_package_says_its_licence_in_one_of_three_ways() -> None:
    mit = ("Classifier", "License :: OSI Approved :: MIT License")
    apache = ("Classifier", "License :: OSI Approved :: Apache Software License")
    assert licence_in(metadata_with(("License-Expression", "ISC"), mit)) == "ISC"
    assert licence_in(metadata_with(("License", "see LICENSE"), mit, apache)) == "MIT AND Apache-2.0"
    assert licence_in(metadata_with(("License", "MIT\n\nPermission is granted"))) == "MIT"
    assert licence_in(metadata_with(("Name", "example"))) == "none is named"
