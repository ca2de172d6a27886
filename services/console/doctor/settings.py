import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError
from pydantic_settings import SettingsError

from services.console.doctor import certificates
from services.console.findings import Finding, Mark
from shared import clock
from shared.cli.definition import Definition
from shared.cli.running import mistakes
from shared.messaging.portals import registry
from shared.messaging.portals.registry import UnreadablePortals
from shared.settings import ServiceSettings
from shared.token_file import UnreadableTokens, read_tokens


@dataclass(slots=True)
class FoundSettings:
    findings: list[Finding] = field(default_factory=list)
    settings: dict[str, ServiceSettings] = field(default_factory=dict)


def load_all(services: Sequence[Definition]) -> FoundSettings:
    loaded = FoundSettings()
    for definition in services:
        url = f"{definition.name.upper()}_DATABASE_URL"
        if url in os.environ or f"{url}_FILE" in os.environ:
            _load(definition, loaded)
        else:
            found = f"{url} is not set: the service was not looked at"
            loaded.findings.append(Finding(definition.name, "settings", Mark.UNKNOWN, found))
    return loaded


def _load(definition: Definition, loaded: FoundSettings) -> None:
    name = definition.name
    try:
        settings = definition.settings()
    except ValidationError as error:
        loaded.findings += [_wrong(name, mistake) for mistake in mistakes(error)]
        return
    except SettingsError as error:
        loaded.findings.append(_wrong(name, str(error)))
        return
    loaded.settings[name] = settings
    loaded.findings.append(_whole(name, settings))
    loaded.findings += _files(name, settings)


def _wrong(name: str, mistake: str) -> Finding:
    return Finding(name, "settings", Mark.ACT, mistake, "set it: docs/settings.md")


def _whole(name: str, settings: ServiceSettings) -> Finding:
    if settings.parcours_trial:
        return Finding(name, "settings", Mark.OK, "whole, of a trial (PARCOURS_TRIAL=1)")
    accepted = f"; accepted as unprotected: {', '.join(settings.unprotected)}" if settings.unprotected else ""
    return Finding(name, "settings", Mark.OK, f"whole{accepted}")


def _files(name: str, settings: ServiceSettings) -> list[Finding]:
    trial = settings.parcours_trial
    found = certificates.of_files(name, settings.kafka_ca_file, clock.now())
    try:
        registry.read(settings.portals_file, trial=trial)
    except UnreadablePortals as error:
        found.append(Finding(name, "portals file", Mark.ACT, str(error), "mend it: parcours portals check"))
    try:
        read_tokens(settings.api_tokens_file, trial=trial)
    except UnreadableTokens as error:
        found.append(Finding(name, "tokens file", Mark.ACT, str(error), "mend it: parcours tokens check"))
    return found
