"""A form as it is read: what is taken, and what is refused unread."""

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

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


async def test_a_file_is_taken_where_the_form_has_one() -> None:
    form = await read_form(sent(parts(("cle", "k"), file="a;b"), IN_PARTS), with_file=True)
    assert (dict(form), form.file) == ({"cle": "k"}, b"a;b")


async def test_a_form_without_a_file_is_not_taken_in_parts() -> None:
    with pytest.raises(HTTPException) as refused:
        await read_form(sent(parts(("cle", "k"), file="a;b"), IN_PARTS))
    assert refused.value.status_code == 400


@pytest.mark.parametrize("in_parts", [True, False])
async def test_the_fields_of_a_form_are_bounded_however_it_is_sent(in_parts: bool) -> None:
    halves = [(name, "a" * (LARGEST_FORM // 2)) for name in ("un", "deux")]
    content = parts(*halves) if in_parts else "&".join("=".join(pair) for pair in halves).encode()
    with pytest.raises(HTTPException) as refused:
        await read_form(sent(content, IN_PARTS if in_parts else URLENCODED), with_file=True)
    assert refused.value.status_code == 413


@pytest.mark.parametrize("in_parts", [True, False])
async def test_no_more_fields_are_taken_than_a_form_has(in_parts: bool) -> None:
    pairs = [("un", "1"), ("deux", "2"), ("trois", "3")]
    content = parts(*pairs) if in_parts else "&".join("=".join(pair) for pair in pairs).encode()
    request = sent(content, IN_PARTS if in_parts else URLENCODED)
    with pytest.raises(HTTPException) as refused:
        await read_form(request, most=2, with_file=True)
    assert refused.value.status_code == 400


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
