"""``/docs``: every operation and schema of the OpenAPI document is on the page, and nothing of it is HTML."""

import httpx
from pydantic import BaseModel, Field

from shared.http import new_api
from shared.web import api_docs
from tests.support.apis import apis
from tests.support.guards import a_guard

EVIL = "<script>alert(1)</script>"


class Evil(BaseModel):
    """Has `code` and <b>."""

    name: str = Field(max_length=7, description=EVIL)


def test_each_operation_and_each_schema_is_on_the_page() -> None:
    for api in apis().values():
        whole = api.openapi()
        page = api_docs.page(whole, "catalogue")
        for path, methods in whole["paths"].items():
            for method in methods:
                assert f"<code>{method.upper()} {path}</code>" in page
        for name in whole["components"]["schemas"]:
            assert f'id="schema-{name}"' in page


async def test_what_an_api_says_of_itself_is_text_and_there_is_no_script() -> None:
    api = new_api("test", EVIL, a_guard())

    @api.post("/evil", summary=EVIL)
    async def evil(_body: Evil) -> Evil:
        raise NotImplementedError

    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/docs")
        again = await client.get("/docs", headers={"if-none-match": answer.headers["etag"]})
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "Has <code>code</code> and &lt;b&gt;." in answer.text
    assert "string, 7 characters at most" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert again.status_code == 304
