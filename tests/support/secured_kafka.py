"""Apache Kafka as in production: SASL/SCRAM over TLS, and ACLs; each user may do what it was given alone."""

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from local.kafka import KafkaBroker
from local.ports import LOOPBACK, free_port
from shared.messaging.broker import KafkaSettings
from tests.support.certificates import Authority
from tests.support.lacking import need_kafka
from tests.support.processes import SERVICES

ADMIN = "admin"
"""The user that may do everything."""
OPERATORS = ("parcours-topics", "parcours-console", "parcours-keda")
SERVICE_USERS = tuple(f"parcours-{service}" for service in SERVICES)
PORTALS = ("iel", "sirh", "python-aiokafka", "python-confluent", "node", "java")
"""Two portals of the tests of rights, and those of the examples that use Kafka."""

_PROPERTIES = """
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},USERS://{host}:{users_port}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port},USERS://{host}:{users_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,USERS:SASL_SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# The broker itself, by the listeners that no user is told of, is nobody.
super.users=User:ANONYMOUS;User:{admin}
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.users.scram-sha-512.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.users.ssl.keystore.type=PEM
listener.name.users.ssl.keystore.location={keystore}
"""


class SecuredKafka(KafkaBroker):
    """A broker with these users, who connect to ``users_port``; a user's password is its name, twice."""

    def __init__(self, directory: Path, users: Iterable[str]) -> None:
        super().__init__(directory)
        self.users_port = free_port()
        self.portals_file = directory / "portals.json"
        self._users = (ADMIN, *users)
        authority = Authority(directory)
        self.authority = authority.file
        certificate, key = authority.certificate(f"IP:{LOOPBACK}")
        self._keystore = directory / "keystore.pem"
        self._keystore.write_text(key.read_text() + certificate.read_text())

    @classmethod
    @contextmanager
    def with_rights(cls, directory: Path) -> Iterator["SecuredKafka"]:
        """Start a broker whose topics and rights the commands made; skip the test if Kafka cannot run."""
        # Here, since it takes seconds, and every test imports this module.
        from services.enrolment.definition import DEFINITION
        from shared.cli.service import service_cli

        need_kafka()
        broker = cls(directory, [*OPERATORS, *SERVICE_USERS, *(f"portal-{portal}" for portal in PORTALS)])
        broker.portals_file.write_text(json.dumps([a_portal_by_kafka(portal) for portal in PORTALS]))
        with broker.start():
            for user, command in ((ADMIN, ["acls", "--apply"]), ("parcours-topics", ["create"])):
                environment = {
                    "ENROLMENT_DATABASE_URL": "postgresql://u@127.0.0.1:1/none",
                    "PORTALS_FILE": str(broker.portals_file),
                    **broker.environment(user),
                }
                done = CliRunner().invoke(service_cli(DEFINITION), ["topics", *command], env=environment)
                assert done.exit_code == 0, done.output
            yield broker
            broker.kill()

    def environment(self, user: str) -> dict[str, str]:
        """The settings by which a service connects as this user."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{self.users_port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": _password(user),
            "KAFKA_CA_FILE": str(self.authority),
        }

    def settings(self, user: str) -> KafkaSettings:
        """The same, for a client of aiokafka."""
        return KafkaSettings.model_validate(
            {name.lower(): value for name, value in self.environment(user).items()}
        )

    def properties(self) -> str:
        return super().properties() + _PROPERTIES.format(
            host=LOOPBACK,
            port=self.port,
            controller_port=self._controller_port,
            users_port=self.users_port,
            admin=ADMIN,
            keystore=self._keystore,
        )

    def format_options(self) -> tuple[str, ...]:
        return tuple(
            f"--add-scram=SCRAM-SHA-512=[name={user},password={_password(user)}]" for user in self._users
        )


def secret_of(portal: str) -> str:
    return f"whsec_{base64.b64encode(portal.encode().ljust(32, b'.')).decode()}"


def a_portal_by_kafka(portal: str) -> dict[str, Any]:
    """An entry of `PORTALS_FILE`: a portal that signs its requests and hears its answers by Kafka."""
    return {
        "portal": portal,
        "issuer": portal,
        "contact": "equipe@portail.example",
        "keys": [{"id": "2026-11", "secret": secret_of(portal)}],
        "answers": ["kafka"],
    }


def _password(user: str) -> str:
    return user + user
