"""What a cache may keep of a page, and by which date."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request
from starlette.responses import Response

from shared.web import responses

TEN = datetime(2025, 3, 20, 9, 0, 10, tzinfo=UTC)


def answered(at: float, body: str, *, modified: float, since: str | None = None) -> Response:
    """The answer ``at`` so many seconds after TEN to a page that was ``modified`` then."""
    headers = [] if since is None else [(b"if-modified-since", since.encode())]
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": headers})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.clock.now", lambda: TEN + timedelta(seconds=at))
        return responses.cacheable(request, body, modified=TEN + timedelta(seconds=modified))


def test_of_two_changes_within_a_second_the_second_is_not_taken_for_the_first() -> None:
    first = answered(0.3, "one", modified=0.2)
    assert "last-modified" not in first.headers
    # By the date of the answer, which a cache may take for want of another (RFC 9110, 13.1.3).
    since = "Thu, 20 Mar 2025 09:00:10 GMT"
    assert answered(5, "two", modified=0.6, since=since).status_code == 200


def test_a_date_is_told_once_its_second_is_over_and_then_saves_the_body() -> None:
    given = answered(1, "one", modified=0.6).headers["last-modified"]
    assert given == "Thu, 20 Mar 2025 09:00:11 GMT"
    assert answered(5, "one", modified=0.6, since=given).status_code == 304
    assert answered(5, "two", modified=1.2, since=given).status_code == 200
    assert answered(0, "one", modified=0).headers["last-modified"] == "Thu, 20 Mar 2025 09:00:10 GMT"


@pytest.mark.parametrize("year", ["x", "99999", "9" * 30])
def test_a_date_that_is_none_saves_nothing(year: str) -> None:
    assert answered(5, "one", modified=0, since=f"Thu, 20 Mar {year} 09:00:10 GMT").status_code == 200
