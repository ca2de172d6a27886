"""The files of every page: small, kept for ever by their content, and complete."""

import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from shared.web import assets
from shared.web.assets import ASSETS, SCRIPT, STYLE_SHEET


async def answer(address: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=Starlette(routes=assets.routes("/courriels/static")))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(address, headers=headers)


@pytest.mark.parametrize("name", ASSETS)
async def test_a_file_by_the_address_that_pages_have_is_kept_for_ever(name: str) -> None:
    found = await answer(assets.address_of("/courriels/static", name))
    assert found.status_code == 200
    assert "immutable" in found.headers["cache-control"]
    assert found.content == ASSETS[name].content


async def test_a_file_by_another_address_is_asked_for_each_time() -> None:
    found = await answer(f"/courriels/static/{STYLE_SHEET}?another")
    assert found.headers["cache-control"] == "no-cache"
    known = {"if-none-match": found.headers["etag"]}
    assert (await answer(f"/courriels/static/{STYLE_SHEET}", **known)).status_code == 304


async def test_text_is_compressed_on_request_and_a_typeface_never() -> None:
    plain = await answer(f"/courriels/static/{SCRIPT}", **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = await answer(f"/courriels/static/{SCRIPT}", **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) == len(ASSETS[SCRIPT].compressed or b"") < len(plain.content)
    typeface = next(name for name in ASSETS if name.endswith(".woff2"))
    face = await answer(f"/courriels/static/{typeface}", **{"accept-encoding": "gzip"})
    assert "content-encoding" not in face.headers


def test_a_style_sheet_is_sent_without_comments_and_blanks_that_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "some.css"
    file.write_text(
        '/* a part */\na:not(.b) + p, .c > :is(d, e)::before {\n  content: attr(f) "\\00a0: " / "";'
        " top: calc(1em + 2px); }\n/* a */ .x { top: 0; } /* b */\n"
        "@media (max-width: 9rem) and (hover) { g { color: var(--h, red); } }\n"
    )
    assert assets.read_asset(file, "first").content.decode() == (
        'firsta:not(.b) + p,.c>:is(d,e)::before{content:attr(f) "\\00a0: " / "";top:calc(1em + 2px)}'
        "/* a */ .x{top:0}/* b */\n@media (max-width:9rem) and (hover){g{color:var(--h,red)}}"
    )
    begins = re.compile(r"^ *(/\*|//)", re.MULTILINE)
    assert not begins.search(ASSETS[SCRIPT].content.decode())
