"""Any setting may stand in a file that the environment names: ``<NAME>_FILE``."""

from pathlib import Path

import pytest

from services.notifier.settings import Settings
from shared.cli.running import load
from tests.conftest import settings_of

URL = "postgresql://notifier@host/notifier"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in settings_of("notifier", URL, "localhost:1").items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("NOTIFIER_DATABASE_URL", "postgresql://of@the/file", "notifier_database_url"),
        ("SMTP_PASSWORD", " with spaces ", "smtp_password"),
        ("OIDC_CLIENT_SECRET", "secret", "oidc_client_secret"),
    ],
)
def test_a_secret_is_read_from_its_file_without_the_end_of_the_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str, field: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{text}\n")
    environment.delenv(name, raising=False)
    environment.setenv(f"{name}_FILE", str(file))
    settings = load(Settings)
    assert getattr(settings, field) == text
    environment.setenv(name, "postgresql://of@the/environment-of-it")
    assert getattr(load(Settings), field) == "postgresql://of@the/environment-of-it"


def test_an_empty_file_is_an_empty_list(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    environment.setenv("OIDC_OTHERS_FILE", str(tmp_path / "secret"))
    assert load(Settings).oidc_others == []


def test_a_file_that_cannot_be_read_is_said_in_one_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("SMTP_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(SystemExit) as stopped:
        load(Settings)
    assert stopped.value.code == 2
    message = "parcours: the file that SMTP_PASSWORD_FILE names cannot be read: No such file or directory\n"
    assert capsys.readouterr().err == message
