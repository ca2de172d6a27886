"""Until when the authorities are valid that settings name: in the metrics, without a restart."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared import certificates, clock
from tests.support.certificates import Authority
from tests.support.metrics import metric


def days_left(certificate: str) -> int:
    """The days until its end, as the metrics say it."""
    end = metric("parcours_certificate_end_timestamp_seconds", certificate=certificate)
    return round((end - clock.now().timestamp()) / timedelta(days=1).total_seconds())


def authorities(folder: Path, *days: int) -> str:
    """The certificates of authorities that end in so many days."""
    return "".join(Authority(folder, days=number).file.read_text() for number in days)


def test_of_several_authorities_the_first_that_ends_counts_and_a_new_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "kafka.pem"
    for days, left in (((400,), 400), ((400, 9), 9), ((800,), 800)):
        file.write_text(authorities(tmp_path, *days))
        certificates.read_files(file)
        assert days_left("KAFKA_CA_FILE") == left


def test_the_authority_of_the_database_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", str(Authority(tmp_path, days=5).file))
    certificates.read_files(None)
    assert days_left("PGSSLROOTCERT") == 5


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_a_file_that_cannot_be_read_has_ended(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "kafka.pem"
    if content is not None:
        file.write_text(content)
    certificates.read_files(file)
    assert metric("parcours_certificate_end_timestamp_seconds", certificate="KAFKA_CA_FILE") == 0
