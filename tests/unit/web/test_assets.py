"""The files of every page: small, kept for ever by their content, and complete."""

import gzip
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from shared.web import assets
from shared.web.assets import ASSETS, SCRIPT, STYLE_SHEET
from shared.web.rendering import TEMPLATES, Rendering
from tests.support.colours import FORMATS, TONES

ROOT = Path(__file__).parents[3]
PAGES = [
    page for folder in (TEMPLATES, *(ROOT / "services").rglob("templates")) for page in folder.rglob("*.html")
]


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


async def test_text_is_compressed_for_who_takes_it_compressed_and_a_typeface_for_nobody() -> None:
    plain = await answer(f"/courriels/static/{SCRIPT}", **{"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = await answer(f"/courriels/static/{SCRIPT}", **{"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) == len(ASSETS[SCRIPT].compressed or b"") < len(plain.content)
    typeface = next(name for name in ASSETS if name.endswith(".woff2"))
    face = await answer(f"/courriels/static/{typeface}", **{"accept-encoding": "gzip"})
    assert "content-encoding" not in face.headers


@pytest.mark.parametrize("name", [STYLE_SHEET, SCRIPT])
def test_comments_stay_here(name: str) -> None:
    begins = re.compile(r"^ *(/\*|//)", re.MULTILINE)
    assert begins.search((assets.FOLDER / name).read_text())
    assert not begins.search(ASSETS[name].content.decode())


def test_what_stands_beside_a_comment_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "some.css"
    file.write_text("/* a part */\n  /* another */\n/* a */ .x { top: 0; } /* b */\n.y { left: 0; }\n")
    assert assets.read_asset(file).content.decode() == "/* a */ .x{top:0}/* b */\n.y{left:0}"


def test_a_style_sheet_is_sent_without_the_blanks_that_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "some.css"
    file.write_text(
        'a:not(.b) + p, .c > :is(d, e)::before {\n  content: attr(f) "\\00a0: " / "";'
        " top: calc(1em + 2px); }\n"
        "@media (max-width: 9rem) and (hover) { g { color: var(--h, red); } }\n"
    )
    assert assets.read_asset(file, "first").content.decode() == (
        'firsta:not(.b) + p,.c>:is(d,e)::before{content:attr(f) "\\00a0: " / "";top:calc(1em + 2px)}'
        "@media (max-width:9rem) and (hover){g{color:var(--h,red)}}"
    )


def test_what_the_style_sheet_names_is_there_and_nothing_is_from_elsewhere() -> None:
    sheet = ASSETS[STYLE_SHEET].content.decode()
    named = re.findall(r'url\("([^"]+)"\)', sheet)
    assert set(named) == {name for name in ASSETS if name.endswith(".woff2")}
    assert "@import" not in sheet


def test_style_sheet_and_script_are_small() -> None:
    for name, most in ((STYLE_SHEET, 10_000), (SCRIPT, 5_000)):
        assert len(gzip.compress(ASSETS[name].content)) < most


def test_another_content_has_another_address(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    marks = set()
    for content in ("a{}", "b{}"):
        file.write_text(content)
        marks.add(assets.read_asset(file).fingerprint)
    assert len(marks) == 2


def test_each_icon_is_used_and_each_that_is_named_is_there() -> None:
    icons = Rendering(TEMPLATES).module("icons.html").icons
    text = "\n".join(page.read_text() for page in PAGES if page.name != "icons.html")
    assert set(re.findall(r'icon\("([a-z-]+)"\)', text)) <= icons.keys()
    # By what they stand for: a tone, a format, a kind of resource, whose codes have _ where names have -.
    by_code = {*TONES, *FORMATS, "replay", "dossier", "community"}
    unused = icons.keys() - set(re.findall(r'"([a-z-]+)"', text)) - by_code
    assert unused == set(), "take them out, or use them"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_takes_in_no_part_that_it_does_not_use(page: Path) -> None:
    text = page.read_text()
    for taken in re.finditer(r'{% from "[^"]+" import ([^%]+?)(?: with context)? %}', text):
        names = [name.split(" as ")[-1].strip() for name in taken[1].split(",")]
        rest = text.replace(taken[0], "")
        assert [name for name in names if not re.search(rf"\b{name}\b", rest)] == []
