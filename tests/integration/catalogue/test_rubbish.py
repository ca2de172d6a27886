"""Each field of the form of a session may be wrong by itself; it is said, and is never a fault of ours."""

import pytest

from services.catalogue.pages import session_form
from tests.conftest import Ask
from tests.integration.catalogue.browsing import HttpBrowser, a_form, hidden, organiser
from tests.integration.catalogue.conftest import in_days, published

__all__ = ["organiser"]

MOMENT = in_days(41).strftime("%Y-%m-%dT%H:%M")
ROWS = {
    "towns-0-town": "Brest",
    "towns-0-starts_at": MOMENT,
    "modules-0-title": "Matin",
    "modules-0-starts_at": MOMENT,
    "modules-0-ends_at": MOMENT,
}


@pytest.mark.parametrize(
    ("place", "wrong"),
    [("nouvelle", "9" * 5000), ("serie", "9" * 5000), ("published", "²")],
    ids=["new, long", "series, long", "published, digit"],
)
async def test_each_field_of_a_session_may_be_wrong_by_itself(
    organiser: HttpBrowser, an_empty_offer: str, ask: Ask, place: str, wrong: str
) -> None:
    name = await published(ask, an_empty_offer) if place == "published" else place
    address = f"/gestion/sessions/{name}"
    right = a_form(an_empty_offer) | ROWS
    right |= {"cle": hidden((await organiser.get(address)).text, "cle"), "version": "1"}
    found = {}
    for field in sorted({*right, *session_form.FIELDS} - {"cle"}):
        answer = await organiser.post(address, data=right | {field: wrong})
        found[field] = answer.status_code
        if place == "published" and answer.status_code == 303:
            right["version"] = hidden((await organiser.get(address)).text, "version")
    # A page to look at again is 200; 412 is a form of a version that never was.
    assert set(found.values()) <= {200, 303, 412, 422}
    assert {field for field, status in found.items() if status == 412} <= {"version"}
    assert found["timezone"] == 422
