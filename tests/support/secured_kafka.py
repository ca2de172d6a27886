"""Apache Kafka as in production: SASL/SCRAM over TLS, and ACLs; each user may do what it was given alone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from local.kafka import KafkaBroker
from local.kafka.broker import prepare
from local.ports import LOOPBACK, free_port
from shared.messaging.broker import KafkaSettings
from tests.support.certificates import Authority
from tests.support.lacking import need_kafka

ADMIN = "admin"
"""Who may do everything."""

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
        super().__init__(directory, free_port(), free_port(), directory / "kafka.log")
        self.users_port = free_port()
        self._users = (ADMIN, *users)
        authority = Authority(directory)
        self.authority = authority.file
        certificate, key = authority.certificate(f"IP:{LOOPBACK}")
        self._keystore = directory / "keystore.pem"
        self._keystore.write_text(key.read_text() + certificate.read_text())

    @classmethod
    @contextmanager
    def with_users(cls, *users: str) -> Iterator["SecuredKafka"]:
        """Give a fresh broker, removed with its data at the end; skip the test where Kafka cannot run."""
        need_kafka()
        prepare()
        with TemporaryDirectory(prefix="parcours-test-kafka-") as directory:
            broker = cls(Path(directory), users)
            broker.launch()
            with broker:
                yield broker

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


def _password(user: str) -> str:
    return user + user
