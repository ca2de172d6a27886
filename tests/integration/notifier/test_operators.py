"""What operators see of the queue: the API for support staff, the commands, the figures."""

import base64
import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from typer.testing import CliRunner

from services.notifier import __main__
from services.notifier.store import mails as stored_mails
from shared.auth import Tokens
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from tests.integration.notifier.conftest import Notifier, RunCommand, browsing
from tests.integration.notifier.events import ADDRESS
from tests.integration.notifier.test_mail_log import PURPOSE, SUPPORT, application, sent, tokens
from tests.support.smtp import Drop
from tests.unit.notifier.builders import a_decision, an_agent

__all__ = ["sent", "tokens"]
ONE = str(UUID(int=1))
SEARCH = "/api/v1/mails/search"
EARLY = base64.urlsafe_b64encode(json.dumps(["0001-01-01T00:00:00+14:00", ONE]).encode()).decode()


@pytest.fixture
async def client(notifier: Notifier, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    headers = SUPPORT | {"read-purpose": PURPOSE}
    async with browsing(application(notifier, tokens), headers=headers) as client:
        yield client


@pytest.fixture
async def history(sent: Notifier) -> Notifier:
    """One mail sent, one ambiguous, one of somebody else."""
    sent.relay.script("DOT", Drop())
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    await sent.deliver()
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=an_agent(agent_id="OTHER")))
    return sent


async def test_a_search_is_by_agent_and_state_and_page_by_page_and_says_no_address(
    history: Notifier, client: httpx.AsyncClient
) -> None:
    async def search(**criteria: object) -> tuple[list[str], str | None]:
        found = await client.post(SEARCH, json=criteria)
        assert ADDRESS not in found.text
        return [item["template"] for item in found.json()["items"]], found.json()["next"]

    assert await search(agent_id="IEL-0048151") == (["withdrawn", "enrolment-confirmed"], None)
    assert await search(agent_id="IEL-0048151", state="sent") == (["enrolment-confirmed"], None)
    first, following = await search(agent_id="IEL-0048151", limit=1)
    assert first == ["withdrawn"]
    assert await search(agent_id="IEL-0048151", cursor=following) == (["enrolment-confirmed"], None)
    assert len((await search())[0]) == 3


@pytest.mark.parametrize(
    "search",
    [{"agent": "IEL-0048151"}, {"agent_id": "secret\0"}, {"cursor": "no"}, {"cursor": EARLY}],
    ids=["misspelt: it would list everybody's", "no identifier", "no place", "a place before all time"],
)
async def test_a_search_that_is_not_clear_is_refused(
    client: httpx.AsyncClient, search: dict[str, str]
) -> None:
    refused = await client.post(SEARCH, json=search)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


async def test_an_agents_id_stays_out_of_urls(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/mails", params={"agent_id": "IEL-0048151"})).status_code == 400


async def test_two_issuers_same_identifier_are_two_agents_in_api_and_command(
    notifier: Notifier, client: httpx.AsyncClient, command: RunCommand
) -> None:
    for issuer in ("iel", "martinique"):
        agent = an_agent(agent_id="1001", issuer=issuer)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))

    async def searched(**criteria: str) -> list[str]:
        found = (await client.post(SEARCH, json={"agent_id": "1001"} | criteria)).json()
        return sorted(item["issuer"] for item in found["items"])

    async def listed(*options: str) -> list[str]:
        lines = (await command("mails", "list", "--agent", "1001", *options)).stdout.splitlines()
        return sorted(line.split("\t")[6] for line in lines[:-1])

    assert await searched() == await listed() == ["iel", "martinique"]
    assert await searched(issuer="iel") == await listed("--issuer", "iel") == ["iel"]
    assert await searched(issuer="") == []


async def test_counts_name_every_state(history: Notifier, client: httpx.AsyncClient) -> None:
    states = (await client.get("/api/v1/mails/counts")).json()["states"]
    none = ("claimed", "data_started", "retry", "failed", "superseded")
    assert states == {"pending": 1, "sent": 1, "ambiguous": 1} | dict.fromkeys(none, 0)


@pytest.mark.parametrize(("token", "status"), [("organiser", 403), ("nobody", 401)])
async def test_mails_are_for_support_staff_alone(client: httpx.AsyncClient, token: str, status: int) -> None:
    for method, path in (("GET", ""), ("GET", "/counts"), ("POST", "/search")):
        headers = {"authorization": f"Bearer {token}"}
        response = await client.request(method, f"/api/v1/mails{path}", headers=headers, json={})
        assert response.status_code == status


async def test_operators_list_show_and_resolve(history: Notifier, command: RunCommand) -> None:
    (row,) = await history.rows(where="state = 'ambiguous'")
    mail_id = str(row.mail_id)
    listed = (await command("mails", "list", "--state", "ambiguous")).stdout
    assert (mail_id in listed, "1 ambiguous" in listed, ADDRESS in listed) == (True, True, False)
    assert ADDRESS in (await command("mails", "show", mail_id)).stdout
    reads = await history.query("SELECT kind, agent_id, purpose FROM read_log ORDER BY id")
    assert reads == [(kind, row.recipient, "ligne de commande") for kind in ("mails", "mail")]
    done = await command("mails", "resolve", mail_id, "--resend", "--by", "ops")
    again = await command("mails", "resolve", mail_id, "--sent")
    assert (done.exit_code, again.exit_code, "nothing to decide" in again.stderr) == (0, 1, True)
    assert (await history.rows(where=f"mail_id = '{mail_id}'"))[0].state == "pending"
    assert "\tops\tresent\n" in (await command("mails", "show", mail_id)).stdout


async def test_operators_send_again_all_that_failed_with_one_code(
    history: Notifier, command: RunCommand
) -> None:
    await history.change("UPDATE mail SET state = 'failed', smtp_code = 530, attempts = 1")
    await history.change("UPDATE mail SET smtp_code = 550 WHERE recipient = 'OTHER'")
    options = ("--state", "failed", "--code", "530", "--resend", "--by", "ops")
    done = await command("mails", "resolve", *options)
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
