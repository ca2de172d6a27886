"""A portal with confluent-kafka: portal.py ask | withdraw | move | correct | accept | decline | hear."""

import base64
import hmac
import json
import os
import sys
import uuid
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaException, Producer

PORTAL = os.environ["PORTAL"]
KEY_ID, SECRET = os.environ["KEY_ID"], os.environ["SECRET"]
AGENT_ID = os.environ.get("AGENT_ID", "EX-1")
ANSWERS = json.loads(os.environ.get("ANSWERS", "[]"))

CONNECTION = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
if "KAFKA_SASL_USERNAME" in os.environ:
    CONNECTION |= {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": os.environ["KAFKA_SASL_USERNAME"],
        "sasl.password": os.environ["KAFKA_SASL_PASSWORD"],
    }
    if "KAFKA_CA_FILE" in os.environ:
        CONNECTION["ssl.ca.location"] = os.environ["KAFKA_CA_FILE"]
AGENT = {
    "agent_id": AGENT_ID,
    "email": f"{AGENT_ID.lower()}@ville-exemple.fr",
    "given_name": "Zoé",
    "family_name": "Durand",
    "function": "agent",
    "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"},
}
COMMANDS = {
    "ask": ("EnrolmentRequested", {"agent": AGENT, "approval": None, "answers": ANSWERS}),
    "withdraw": ("WithdrawalRequested", {"agent_id": AGENT_ID}),
    "move": (
        "SessionSwapRequested",
        {"agent_id": AGENT_ID, "to_session_id": os.environ.get("TO_SESSION_ID"), "answers": ANSWERS},
    ),
    "correct": ("AgentCorrected", {"agent_id": AGENT_ID, "email": os.environ.get("EMAIL")}),
    "accept": ("SeatOfferAnswered", {"agent_id": AGENT_ID, "accepted": True}),
    "decline": ("SeatOfferAnswered", {"agent_id": AGENT_ID, "accepted": False}),
}


def sign(attributes: dict[str, str], value: bytes) -> str:
    """Return the signature of an event: HMAC-SHA256 over its attributes and the record's whole value."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    lines = ["v1", KEY_ID, *(attributes[name] for name in ("id", "source", "type", "time")), ""]
    digest = hmac.digest(key, "\n".join(lines).encode() + value, "sha256")
    return "v1," + base64.b64encode(digest).decode()


def send(command: str) -> str:
    """Send a request and return its ce_id, once the broker has it."""
    name, facts = COMMANDS[command]
    topic, key = "portal.agents", AGENT_ID
    if command != "correct":  # what is about an agent alone has a topic of its own
        topic, key = "portal.enrolments", os.environ["SESSION_ID"]
        facts = {"session_id": key, **facts}
    value = json.dumps(facts).encode()
    attributes = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/portals/{PORTAL}",
        "type": f"fr.cnfpt.portal.{name}.v1",
        "time": datetime.now(UTC).isoformat(),
    }
    headers = {f"ce_{name}": content for name, content in attributes.items()}
    headers |= {
        "content-type": "application/json",
        "ce_keyid": KEY_ID,
        "ce_signature": sign(attributes, value),
    }
    # librdkafka's own partitioner is another than that of Kafka's clients, and order in line depends on it.
    producer = Producer({**CONNECTION, "partitioner": "murmur2_random", "acks": "all"})
    failures = []
    producer.produce(
        topic,
        value,
        key=key,
        headers=headers,
        on_delivery=lambda error, _record: failures.append(error) if error else None,
    )
    if producer.flush(30) or failures:
        raise KafkaException(failures[0] if failures else "the broker did not answer within 30 s")
    return attributes["id"]


def hear() -> None:
    """Print each answer to this portal, for ever. What is committed is not heard again."""
    consumer = Consumer(
        {
            **CONNECTION,
            "group.id": f"portal.{PORTAL}.example",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([f"portal.answers.{PORTAL}"])
    while True:
        record = consumer.poll(1.0)
        if record is None:
            continue
        if record.error():
            raise KafkaException(record.error())
        headers = dict(record.headers())
        # An answer may come twice: ce_source and ce_id say which it is.
        print(headers["ce_type"].decode(), record.value().decode(), flush=True)
        consumer.commit(record, asynchronous=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["hear"]:
        hear()
    elif sys.argv[1:] == ["correct"] and not os.environ.get("EMAIL"):
        sys.exit("correct needs EMAIL: the address from now on")
    elif len(sys.argv) == 2 and sys.argv[1] in COMMANDS:
        print(send(sys.argv[1]))
    else:
        sys.exit(__doc__)
