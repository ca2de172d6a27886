"""What operators see of the queue: the API for support staff, the commands, the figures."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from typer.testing import CliRunner

from services.notifier import __main__, api
from services.notifier.store import mails as stored_mails
from shared.auth import Tokens
from shared.events.catalogue import SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier
from tests.support.guards import a_guard
from tests.support.processes import run_cli
from tests.support.smtp import Drop
from tests.unit.notifier.builders import a_decision, a_renderer, a_session, an_agent

ONE = str(UUID(int=1))


@pytest.fixture
async def client(notifier: Notifier, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    file = tmp_path / "tokens.json"
    file.write_text(
        json.dumps(
            [
                {
                    "name": role,
                    "role": role,
                    "delegation": None,
                    "sha256": hashlib.sha256(role.encode()).hexdigest(),
                }
                for role in ("support", "organiser")
            ]
        )
    )
    app = api.build(notifier.database, Tokens(file), a_guard(notifier.database), a_renderer())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://test",
        headers={"authorization": "Bearer support", "read-purpose": "demande 4711"},
    ) as client:
        yield client


@pytest.fixture
async def history(notifier: Notifier) -> Notifier:
    """One mail sent, one ambiguous, one of somebody else."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.deliver()
    notifier.relay.script("DOT", Drop())
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2))
    await notifier.deliver()
    await notifier.hear(
        a_decision(AgentEnrolled, enrolment_id=a_session().session_id, agent=an_agent(agent_id="OTHER"))
    )
    return notifier


async def test_support_staff_see_what_became_of_an_agents_mails(
    history: Notifier, client: httpx.AsyncClient
) -> None:
    response = await client.post("/api/v1/mails/search", json={"agent_id": "IEL-0048151"})
    found = response.json()
    assert response.status_code == 200
    assert [(item["template"], item["state"]) for item in found["items"]] == [
        ("withdrawn", "ambiguous"),
        ("enrolment-confirmed", "sent"),
    ]
    assert found["next"] is None
    assert "zoe.durand" not in response.text


async def test_two_issuers_same_identifier_are_both_found_and_told_apart(
    notifier: Notifier, client: httpx.AsyncClient, notifier_url: str
) -> None:
    for issuer in ("iel", "martinique"):
        agent = an_agent(agent_id="1001", issuer=issuer)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))

    async def search(**criteria: object) -> list[tuple[str, str]]:
        found = (await client.post("/api/v1/mails/search", json=criteria)).json()
        return sorted((item["issuer"], item["agent_id"]) for item in found["items"])

    assert await search(agent_id="1001") == [("iel", "1001"), ("martinique", "1001")]
    assert await search(agent_id="1001", issuer="martinique") == [("martinique", "1001")]
    assert await search(agent_id="1001", issuer="") == []
    no_issuer = await client.post("/api/v1/mails/search", json={"agent_id": "1001", "issuer": "I é"})
    assert no_issuer.status_code == 422

    environment = settings_of("notifier", notifier_url, "localhost:1")
    both = run_cli("notifier", "mails", "list", "--agent", "1001", environment=environment)
    assert sorted(line.split("\t")[4::2] for line in both.stdout.splitlines()[:-1]) == [
        ["1001", "iel"],
        ["1001", "martinique"],
    ]
    only = ("mails", "list", "--agent", "1001", "--issuer", "iel")
    (line, _) = run_cli("notifier", *only, environment=environment).stdout.splitlines()
    assert line.endswith("\tiel")
    shown = run_cli("notifier", "mails", "show", line.split("\t")[0], environment=environment)
    assert "issuer        iel\n" in shown.stdout


async def test_an_agents_id_stays_out_of_urls(history: Notifier, client: httpx.AsyncClient) -> None:
    response = await client.get("/api/v1/mails", params={"agent_id": "IEL-0048151"})
    assert response.status_code == 400
    assert "POST /api/v1/mails/search" in response.json()["detail"]
    misspelt = await client.post("/api/v1/mails/search", json={"agent": "IEL-0048151"})
    assert misspelt.status_code == 422, "or it would list everybody's"


async def test_a_search_is_by_agent_and_state_and_page_by_page(
    history: Notifier, client: httpx.AsyncClient
) -> None:
    async def search(**criteria: object) -> tuple[list[str], str | None]:
        found = (await client.post("/api/v1/mails/search", json=criteria)).json()
        return [item["template"] for item in found["items"]], found["next"]

    assert await search(agent_id="IEL-0048151", state="sent") == (["enrolment-confirmed"], None)
    first, following = await search(agent_id="IEL-0048151", limit=1)
    assert first == ["withdrawn"]
    assert await search(agent_id="IEL-0048151", cursor=following) == (["enrolment-confirmed"], None)
    assert len((await search())[0]) == 3


async def test_pages_follow_each_other(history: Notifier, client: httpx.AsyncClient) -> None:
    first = (await client.get("/api/v1/mails", params={"limit": 2})).json()
    second = (await client.get("/api/v1/mails", params={"limit": 2, "cursor": first["next"]})).json()
    assert len({item["mail_id"] for item in first["items"] + second["items"]}) == 3
    assert second["next"] is None
    assert (await client.get("/api/v1/mails", params={"cursor": "no"})).status_code == 422
    place = json.dumps(["0001-01-01T00:00:00+14:00", str(uuid4())])
    early = base64.urlsafe_b64encode(place.encode()).decode()
    assert (await client.get("/api/v1/mails", params={"cursor": early})).status_code == 422


async def test_counts_name_every_state(history: Notifier, client: httpx.AsyncClient) -> None:
    states = (await client.get("/api/v1/mails/counts")).json()["states"]
    assert states == {
        "pending": 1,
        "claimed": 0,
        "data_started": 0,
        "sent": 1,
        "retry": 0,
        "failed": 0,
        "ambiguous": 1,
        "superseded": 0,
    }


@pytest.mark.parametrize(("token", "status"), [("organiser", 403), ("nobody", 401)])
async def test_mails_are_for_support_staff_alone(client: httpx.AsyncClient, token: str, status: int) -> None:
    for method, path in (("GET", ""), ("GET", "/counts"), ("POST", "/search")):
        headers = {"authorization": f"Bearer {token}", "read-purpose": "demande 4711"}
        response = await client.request(method, f"/api/v1/mails{path}", headers=headers, json={})
        assert response.status_code == status


async def test_operators_list_show_and_resolve(history: Notifier, notifier_url: str) -> None:
    environment = settings_of("notifier", notifier_url, "localhost:1")
    (row,) = await history.rows(where="state = 'ambiguous'")
    listed = run_cli("notifier", "mails", "list", "--state", "ambiguous", environment=environment)
    assert str(row.mail_id) in listed.stdout
    assert "1 ambiguous" in listed.stdout
    assert "zoe.durand" not in listed.stdout
    shown = run_cli("notifier", "mails", "show", str(row.mail_id), environment=environment)
    assert "zoe.durand@ville-exemple.fr" in shown.stdout
    reads = await history.query("SELECT kind, agent_id, purpose FROM read_log ORDER BY id")
    assert reads == [(kind, row.recipient, "ligne de commande") for kind in ("mails", "mail")]
    done = run_cli(
        "notifier", "mails", "resolve", str(row.mail_id), "--resend", "--by", "ops", environment=environment
    )
    assert done.returncode == 0, done.stderr
    again = run_cli("notifier", "mails", "resolve", str(row.mail_id), "--sent", environment=environment)
    assert again.returncode == 1
    assert "nothing to decide" in again.stderr
    assert (await history.rows(where=f"mail_id = '{row.mail_id}'"))[0].state == "pending"
    shown = run_cli("notifier", "mails", "show", str(row.mail_id), environment=environment)
    assert "\tops\tresent\n" in shown.stdout


async def test_operators_send_again_all_that_failed_with_one_code(
    history: Notifier, notifier_url: str
) -> None:
    await history.change("UPDATE mail SET state = 'failed', smtp_code = 530, attempts = 1")
    await history.change("UPDATE mail SET smtp_code = 550 WHERE recipient = 'OTHER'")
    arguments = ("--state", "failed", "--code", "530", "--resend", "--by", "ops")
    environment = settings_of("notifier", notifier_url, "localhost:1")
    done = run_cli("notifier", "mails", "resolve", *arguments, environment=environment)
    assert done.stdout.startswith("2 will be sent again"), done.stderr
    rows = {(row.recipient, row.state, row.attempts) for row in await history.rows()}
    assert rows == {("IEL-0048151", "pending", 0), ("OTHER", "failed", 1)}
    async with history.database.quiet_transaction() as tx:
        audit = [await stored_mails.audit_log(tx, row.mail_id) for row in await history.rows()]
    assert sorted([(line.actor, line.action) for line in lines] for lines in audit) == [
        [],
        [("ops", "resent")],
        [("ops", "resent")],
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ONE,
        f"{ONE} --sent --resend",
        f"{ONE} --code 530 --resend",
        f"{ONE} --state failed --resend",
        "--state failed --resend",
        "--code 530 --resend",
        "--state ambiguous --code 530 --resend",
        "--state failed --code 530 --sent",
    ],
)
def test_a_decision_that_is_not_clear_is_none(arguments: str) -> None:
    result = CliRunner().invoke(__main__.app, ["mails", "resolve", *arguments.split()])
    assert result.exit_code == 2
    assert "Say w" in result.stderr


async def test_an_agent_id_that_is_none_is_refused_before_the_database_sees_it(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/api/v1/mails/search", json={"agent_id": "secret\0"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
