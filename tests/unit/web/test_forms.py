"""A form as it is read: what is taken, and what is refused unread."""

import tempfile
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from shared.http import MAX_FILE_BYTES
from shared.web.forms import LARGEST_FORM, Form, parsed, read_form

IN_PARTS = "multipart/form-data; boundary=x"
URLENCODED = "application/x-www-form-urlencoded"


def sent(content: bytes, content_type: str) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers, "app": None}, receive)


def parts(*pairs: tuple[str, str], file: str | None = None) -> bytes:
    fields = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in pairs
    ]
    if file is not None:
        disposition = 'form-data; name="fichier"; filename="a.csv"'
        fields.append(f"--x\r\nContent-Disposition: {disposition}\r\n\r\n{file}\r\n")
    return ("".join(fields) + "--x--\r\n").encode()


async def refused(request: Request, **options: Any) -> int:
    """Read a form that is refused, and return the status."""
    with pytest.raises(HTTPException) as caught:
        await read_form(request, **options)
    return caught.value.status_code


async def test_a_file_is_taken_only_where_the_form_has_one() -> None:
    content = parts(("cle", "k"), file="a;b")
    form = await read_form(sent(content, IN_PARTS), with_file=True)
    assert (dict(form), form.file) == ({"cle": "k"}, b"a;b")
    assert await refused(sent(content, IN_PARTS)) == 400


async def test_a_file_is_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(tempfile, "TemporaryFile")
    largest = "a" * (MAX_FILE_BYTES - 1000)
    form = await read_form(sent(parts(file=largest), IN_PARTS), with_file=True)
    assert form.file == largest.encode()


@pytest.mark.parametrize("in_parts", [True, False])
@pytest.mark.parametrize(
    ("pairs", "most", "status"),
    [
        ([(name, "a" * (LARGEST_FORM // 2)) for name in ("un", "deux")], 100, 413),
        ([("un", "1"), ("deux", "2"), ("trois", "3")], 2, 400),
    ],
    ids=["too large", "too many fields"],
)
async def test_a_form_is_bounded_however_it_is_sent(
    pairs: list[tuple[str, str]], most: int, status: int, in_parts: bool
) -> None:
    content = parts(*pairs) if in_parts else "&".join("=".join(pair) for pair in pairs).encode()
    request = sent(content, IN_PARTS if in_parts else URLENCODED)
    assert await refused(request, most=most, with_file=True) == status


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("0", 0), (" 12 ", 12), ("100", 100), ("101", None), ("0000099999", None), ("9" * 5000, None),
        ("-1", None), ("+1", None), ("1.0", None), ("²", None), ("٣", None), ("", None), ("x", None),
    ],
)  # fmt: skip
def test_a_number_is_read_up_to_the_most_that_it_may_be(typed: str, number: int | None) -> None:
    assert Form([("n", typed)]).number("n", 100) == number
    assert Form().number("n", 100) is None


@pytest.mark.parametrize("typed", ["a=%00", "%00=a", "a=b&c=d%00e"])
def test_a_form_with_a_nul_is_what_no_browser_sends(typed: str) -> None:
    with pytest.raises(HTTPException) as refused:
        parsed(typed.encode())
    assert refused.value.status_code == 400
