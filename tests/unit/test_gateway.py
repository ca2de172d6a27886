"""The gateway of Compose leads to the services."""

import os
import re
import subprocess
from pathlib import Path

import yaml

from services.deployment import SERVICES, fields_of
from tests.support.lacking import program

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "deploy" / "gateway" / "haproxy.cfg"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_haproxy_takes_the_gateways_settings() -> None:
    command = [program("haproxy", package="haproxy"), "-c", "-f", str(GATEWAY)]
    ports = dict.fromkeys(COMPOSE["gateway"]["environment"], "9000")
    done = subprocess.run(command, env=os.environ | ports, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr


def test_the_gateway_leads_each_address_to_the_containers_of_a_service_that_are_ready() -> None:
    text = GATEWAY.read_text()
    found = re.findall(
        r'listen (\w+)\n    bind :(\d+)\n    server-template \1 12 \1:(\d+) port "\$\{(\w+)\}"\n', text
    )
    ports = {service: str(fields_of(service)[f"{service.upper()}_PORT"].default) for service in SERVICES}
    assert [(name, bound, port) for name, bound, port, _ in found] == [
        (service, port, port) for service, port in ports.items()
    ]
    asked = COMPOSE["gateway"]["environment"]
    assert {name: asked[check] for name, _, _, check in found} == {
        name: f"${{{name.upper()}_OPERATIONS_PORT:-{port}}}" for name, port in ports.items()
    }
    assert COMPOSE["gateway"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports.values()]
    assert "option httpchk GET /health/ready\n" in text
