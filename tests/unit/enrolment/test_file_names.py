"""Files of organisers are named for the session that they are about, wherever they are kept."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.enrolment.pages.manage.frame import file_name
from tests.support.builders import a_session

START = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("session", "name"),
    [
        ({"venue": "Hôtel de ville, 35400 Saint-Malo"}, "presences-saint-malo-2026-11-28.csv"),
        ({"venue": None, "title": "L’IA, c’est quoi ?"}, "presences-l-ia-c-est-quoi-2026-11-28.csv"),
        ({"venue": None, "title": '"; x=../€'}, "presences-x-2026-11-28.csv"),
        ({"venue": None, "title": "人工智能"}, "presences-2026-11-28.csv"),
        ({"venue": None, "title": "a" * 300}, f"presences-{'a' * 60}-2026-11-28.csv"),
        (
            {"venue": "Fort-de-France", "timezone": "America/Martinique"},
            "presences-fort-de-france-2026-11-27.csv",
        ),
    ],
)
def test_a_file_is_named_for_the_place_or_the_title_and_the_day_there(
    session: dict[str, Any], name: str
) -> None:
    assert file_name("presences", a_session(starts_at=START, **session), "csv") == name
