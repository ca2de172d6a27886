"""Pages answer whatever is sent to them as what it is: never by a fault of ours."""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from services.notifier.app import compose
from services.notifier.pages.subscribing import FORM
from shared import clock
from shared.web.links import Purpose
from tests.integration.notifier.test_openapi import TOKEN, a_token, settings_for

LOG = "/courriels/suivi"
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
BODIES = [
    (URLENCODED, b""),
    (URLENCODED, b"adresse=%00&interet=%00&agent=%00&etat=%00&avant=%00&jeton=%00&decision=%00&cle=%00"),
    (URLENCODED, b"adresse=%ff%fe&interet=theme%3A&agent=%ff&avant=0001-01-01+x&jeton=%ff&cle=%ff"),
    (URLENCODED, b"\xff\x00&&==;" * 50),
    (URLENCODED, "adresse=é@é.é&jeton=é&agent=é".encode("latin-1")),
    (URLENCODED, "&".join(f"interet={n}" for n in range(1000)).encode()),
    (URLENCODED, b"agent=" + b"x" * 100_000),
    (MULTIPART, b"--x\r\nContent-Disposition: form-data; name=adresse; filename=a\r\n\r\nx\r\n--x--\r\n"),
    (MULTIPART, b"--y\r\nnonsense"),
    ("multipart/form-data", b"--x--"),
    ("application/json", b"{"),
    ("", b"x"),
]


TYPED = (
    *("agent", "emetteur", "etat", "avant", "cherche", "nouvelle", "encore", "vues", "decision", "fin"),
    *("adresse", "interet", "vers"),
)


@pytest.mark.parametrize("what", ["no-uuid", "", "\0", "é", "0" * 5000])
async def test_rubbish_is_no_fault_of_ours(notifier_url: str, tmp_path: Path, what: str) -> None:
    settings = settings_for(
        notifier_url, api_tokens_file=a_token(tmp_path), refused_rate="10000/day", link_rate="10000/day"
    )
    process = compose(settings)
    links, until = settings.links, clock.now() + timedelta(days=1)
    assert links is not None
    signed = [
        f"{purpose.value}/{links.token(purpose, *subject, until=until)}"
        for purpose in (Purpose.CONFIRM, Purpose.PREFERENCES, Purpose.UNSUBSCRIBE)
        for subject in ((what,), (str(uuid4()), what), ())
    ]
    unsigned = [f"{purpose.value}/{what}x" for purpose in Purpose]
    pages = [FORM, LOG, f"{LOG}/connexion", f"{LOG}/{uuid4()}", f"{LOG}/{uuid4()}/lettre", f"{LOG}/{what}x"]
    pages += [f"{LOG}/personnes", f"{LOG}/personnes/correction", f"{LOG}/effacement", f"{LOG}/connexions"]
    pages += [f"{LOG}/chiffres", f"{LOG}/chiffres.csv"]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=process.api, raise_app_exceptions=False),
        base_url="https://test",  # where a browser sends the cookie back
    ) as client:
        await client.post(f"{LOG}/connexion", data={"jeton": TOKEN})
        (key,) = set(re.findall(r'name="cle" value="([^"]+)"', (await client.get(LOG)).text))
        typed = {"cle": key, "motif": "Un appel", **dict.fromkeys(TYPED, what)}
        faults = []
        for path in [*signed, *unsigned, *pages, f"{LOG}/deconnexion"]:
            url = quote(path)
            answers = [await client.get(url), await client.get(url, params={"x": what, "": "\0"})]
            answers += [
                await client.get(url, params=dict.fromkeys(("offre", "delegation"), what)),
                await client.post(url, data=typed),
                await client.post(url, data=typed | {"agent": "IEL-1", "emetteur": "iel", "encore": "IEL-1"}),
            ]
            answers += [
                await client.post(url, content=body, headers={"content-type": kind}) for kind, body in BODIES
            ]
            faults += [(path[:60], answer.status_code) for answer in answers if answer.status_code >= 500]
            if path in signed:
                assert answers[0].status_code in (404, 410, 200), path
    await process.database.close()
    assert faults == []
