"""Who a visitor is, behind a proxy that is trusted and before one that is not."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from shared.process.server import Server
from shared.web.networks import network_of

PROXIES = "127.0.0.1,10.0.0.0/8"


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        ("192.0.2.9", "198.51.100.1", "192.0.2.0/24"),
        ("10.0.0.2", "198.51.100.1", "198.51.100.0/24"),
        ("10.0.0.2", "203.0.113.5, 198.51.100.1", "198.51.100.0/24"),
        ("10.0.0.2", "203.0.113.5, 10.9.9.9", "203.0.113.0/24"),
        ("10.0.0.2", "2001:db8::5", "2001:db8::/56"),
        ("10.0.0.2", "nonsense", "nonsense"),
        ("fe80::1%eth0", "198.51.100.1", "fe80::/56"),
    ],
)
async def test_a_visitor_is_whom_a_trusted_proxy_names(peer: str, forwarded: str, network: str) -> None:
    assert await network_behind(PROXIES, peer, forwarded) == network


async def test_a_visitor_of_an_intranet_passes_for_nobody_else_behind_the_gateway_of_compose() -> None:
    compose = (Path(__file__).parents[3] / "docker-compose.yml").read_text()
    [proxies] = re.findall(r"\$\{FORWARDED_ALLOW_IPS:-(.*)\}", compose)
    gateway = "172.18.0.9"

    assert await network_behind(proxies, gateway, "198.51.100.1, 172.18.0.1") == "198.51.100.0/24"
    assert await network_behind(proxies, gateway, "198.51.100.1, 10.1.2.3, 172.18.0.1") == "10.1.2.0/24"


async def network_behind(proxies: str, peer: str, forwarded: str) -> str:
    api = FastAPI()

    @api.get("/")
    async def seen(request: Request) -> str:
        return network_of(request)

    config = Server(api, proxies=proxies).config
    config.load()
    transport = httpx.ASGITransport(app=config.loaded_app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/", headers={"X-Forwarded-For": forwarded})
    return str(answer.json())
