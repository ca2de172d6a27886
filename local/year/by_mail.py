"""What people do in the year with the letters that they get, and on pages without a login."""

import asyncio
import re

import httpx

from local.demo.api_client import submit_page
from local.demo.people import Agent
from local.failures import LocalStackError
from local.services import run_command
from local.year.acts import Act, Year

_PATIENCE_SECONDS = 60
_ENROLMENTS, _ADDRESS = "/inscriptions/mes-inscriptions", "/inscriptions/adresse"


def opens(at: str, address: str, page: str, **fields: str) -> Act:
    """Who reads a mailbox opens a link in its newest letter that has one to this page, and fills it in."""

    async def press(year: Year) -> None:
        await _submit(await _link(year, address, page), **fields)

    return Act(at, press)


def accepts_by_link(at: str, agent: Agent) -> Act:
    """An agent accepts the seat that is offered."""
    return opens(at, agent.email, "/inscriptions/offre", reponse="oui")


def gives_address(at: str, agent: Agent, new: str) -> Act:
    """An agent gives another address on the page of their enrolments, to which a letter led."""

    async def give(year: Year) -> None:
        own = await _link(year, agent.email, _ENROLMENTS)
        async with httpx.AsyncClient(timeout=30, trust_env=False) as browser:
            page = await browser.get(own)
        found = re.search(rf'"((?:https?://[^"]+)?{_ADDRESS}/[^"]+)"', page.text)
        if found is None:
            raise LocalStackError("the page of an agent's enrolments leads to none to correct the address")
        await _submit(str(page.url.join(found.group(1))), adresse=new)

    return Act(at, give)


def loses_link(at: str, agent: Agent) -> Act:
    """An agent types their address to get the link to their enrolments anew."""
    return Act(
        at,
        lambda year: _submit(f"{year.stack.url('notifier')}/courriels/mes-inscriptions", adresse=agent.email),
    )


def follows(at: str, address: str, offer: str, delegation: str) -> Act:
    """Somebody asks on the page of an offer to be told when a session of a delegation opens."""
    return Act(
        at,
        lambda year: _submit(
            f"{year.stack.url('notifier')}/courriels/abonnement?offre={offer}",
            adresse=address,
            interet=f"offer:{offer}/{delegation}",
        ),
    )


def comes_back(at: str, agent: Agent) -> Act:
    """The newest letter to an agent comes back: there is no such mailbox (RFC 3464)."""

    async def report(year: Year) -> None:
        year.letters.look()
        returned = year.letters.newest(agent.email).field("Return-Path").strip().strip("<>")
        env = year.stack.environment("notifier")
        taken = await asyncio.to_thread(
            run_command,
            "notifier",
            "bounces",
            "take",
            env=env,
            given=_REPORT.format(path=returned, address=agent.email),
        )
        if taken != "taken":
            raise LocalStackError(f"a letter came back, and the report of it is not taken: {taken}")

    return Act(at, report)


_REPORT = """\
Return-Path: <>
To: {path}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain; charset=utf-8

user unknown

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.agglo.example

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1

--B--
"""


async def _link(year: Year, address: str, page: str) -> str:
    """Return the newest link to a page in the letters to an address, once one has come."""
    for _ in range(2 * _PATIENCE_SECONDS):
        year.letters.look()
        link = year.letters.link(address, page)
        if link is not None:
            return link
        await asyncio.sleep(0.5)
    raise LocalStackError(f"no letter to {address} has a link to {page}")


async def _submit(link: str, **fields: str) -> None:
    for _ in range(2 * _PATIENCE_SECONDS):
        if await submit_page(link, **fields):
            return
        await asyncio.sleep(0.5)
    raise LocalStackError("a page is away for a minute")
