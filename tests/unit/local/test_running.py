"""Small decisions of the stack: how many processes, which day of the offer is today."""

import json
import socket
from datetime import date, timedelta
from pathlib import Path

import pytest

from local import credentials, ports, running
from local.failures import LocalStackError
from local.running import OFFER_DAY, offer_day, settings
from local.services import SERVICES, parse_scale


def test_scale_names_services_and_numbers() -> None:
    assert parse_scale("") == {"catalogue": 1, "enrolment": 1, "notifier": 1}
    assert parse_scale("enrolment=3 notifier=2") == {"catalogue": 1, "enrolment": 3, "notifier": 2}


@pytest.mark.parametrize(
    "text", ["enrolment", "enrolment=0", "enrolment=x", "portal=2", "enrolment=-1", "enrolment=99"]
)
def test_a_scale_that_is_not_one_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(LocalStackError, match="enrolment=3 notifier=2"):
        parse_scale(text)


@pytest.mark.parametrize(
    ("problem", "given", "broker", "message"),
    [
        (None, None, "kafka", "Apache Kafka"),
        ("Apache Kafka needs Java", None, "embedded", "Apache Kafka needs Java"),
        (None, "kafka:9092", "embedded", ""),
    ],
)
def test_kafka_is_taken_where_it_can_run_and_it_is_said_why_not(
    monkeypatch: pytest.MonkeyPatch, problem: str | None, given: str | None, broker: str, message: str
) -> None:
    monkeypatch.setattr(running, "missing_tools", lambda: problem)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", given or "")
    lines: list[str] = []
    assert running.best_broker(lines.append) == broker
    assert message in "".join(lines)
    assert len(lines) == (given is None)


def test_the_offer_is_moved_by_the_same_number_of_days_at_each_run(tmp_path: Path) -> None:
    first = date(2026, 11, 24)
    assert offer_day(tmp_path, first) == OFFER_DAY
    assert offer_day(tmp_path, first + timedelta(days=3)) == OFFER_DAY + timedelta(days=3)


def test_the_offer_is_moved_anew_when_enrolment_in_the_mooc_would_be_over(tmp_path: Path) -> None:
    first = date(2026, 11, 24)
    offer_day(tmp_path, first)
    later = first + timedelta(days=40)
    assert offer_day(tmp_path, later) == OFFER_DAY
    assert offer_day(tmp_path, later + timedelta(days=1)) == OFFER_DAY + timedelta(days=1)


def test_a_clock_set_back_moves_the_offer_anew(tmp_path: Path) -> None:
    offer_day(tmp_path, date(2026, 11, 24))
    assert offer_day(tmp_path, date(2026, 1, 1)) == OFFER_DAY


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    key = credentials.link_signing_key(tmp_path)
    assert credentials.link_signing_key(tmp_path) == key
    assert len(key) >= 32
    for name in ("link-signing-key",):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_the_token_file_holds_hashes_only_and_keeps_what_others_added(tmp_path: Path) -> None:
    from hashlib import sha256

    path = credentials.api_tokens_file(tmp_path)
    token = (tmp_path / "demo-token").read_text().strip()
    [entry] = json.loads(path.read_text())
    assert entry == {
        "name": "demo",
        "sha256": sha256(token.encode()).hexdigest(),
        "role": "admin",
        "delegation": None,
    }
    other = {"name": "other", "sha256": "0" * 64, "role": "support", "delegation": None}
    path.write_text(json.dumps([other]))
    credentials.api_tokens_file(tmp_path)
    assert json.loads(path.read_text()) == [other, entry]


def test_a_standard_port_in_use_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert not ports.is_free(taken)
        assert ports.is_free(ports.standard_or_free(taken))
    assert ports.standard_or_free(taken) == taken


def test_the_commands_of_the_services_find_the_stack_that_runs(tmp_path: Path) -> None:
    stack = {"kafka": "127.0.0.1:9092", "smtp": "127.0.0.1:1025"} | {
        f"{service}_database_url": f"postgresql://{service}@127.0.0.1:5432/x" for service in SERVICES
    }
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    keys = {"LINK_SIGNING_KEY": "a-key", "INTAKE_SIGNING_KEY": "whsec_a"}
    (tmp_path / "link-signing-key").write_text("a-key")
    (tmp_path / "intake-signing-key").write_text("whsec_a")
    found = settings(tmp_path)
    assert found.items() >= keys.items()  # without them nobody is forgotten
    assert found["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:9092"
    assert found["ENROLMENT_DATABASE_URL"] == "postgresql://enrolment@127.0.0.1:5432/x"
    assert (found["SMTP_HOST"], found["SMTP_PORT"]) == ("127.0.0.1", "1025")


def test_without_a_stack_its_settings_are_not_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="start one with `make run`"):
        settings(tmp_path)
