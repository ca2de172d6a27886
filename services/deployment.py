"""Files for deployment, made from settings, topics and rights.

``python -m services.deployment write`` writes an example of ``.env``, the settings that the Helm chart knows,
and the topics and users as resources of Strimzi. ``check`` fails if a stored file differs.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.catalogue.settings import Settings as Catalogue
from services.enrolment.settings import Settings as Enrolment
from services.notifier.settings import Settings as Notifier
from shared.cli.acls import AclFormat, written
from shared.events.topics import TOPICS
from shared.messaging import acls, topics
from shared.settings import ServiceSettings

ROOT = Path(__file__).parents[1]
SERVICES: Mapping[str, type[ServiceSettings]] = {
    "catalogue": Catalogue,
    "enrolment": Enrolment,
    "notifier": Notifier,
}
_WRITTEN = "Written by `make contracts`, from the code: not by hand."

# ------------------------------------------------------------------------------------- the settings, by name


def fields_of(service: str) -> dict[str, FieldInfo]:
    return {name.upper(): field for name, field in SERVICES[service].model_fields.items()}


def all_fields() -> dict[str, FieldInfo]:
    return {name: field for service in SERVICES for name, field in fields_of(service).items()}


def is_secret(name: str, field: FieldInfo) -> bool:
    return not field.repr or "SecretStr" in str(field.annotation) or name.endswith("_DATABASE_URL")


def is_path(field: FieldInfo) -> bool:
    return "Path" in str(field.annotation)


# ----------------------------------------------------------------------------------------- .env.example

_OF_COMPOSE = {
    "COMPOSE_PROFILES": "What runs besides the services: demo, observability, archive, with commas.",
    "SECRETS_DIR": "The folder with a file for each secret, of its name.",
    "ARCHIVE_DIR": "The folder of the archive of Postgres, on another disk; a volume where it is not set.",
    "ARCHIVE_KEPT_DAYS": "How long the archive keeps base backups, and the WAL that leads on from them.",
    "SYNCHRONOUS_STANDBY_NAMES": "archive: Postgres answers nothing that is not in the archive too.",
    "PROMETHEUS_FILE": "The settings of Prometheus: a copy of the project's, with your operations ports.",
    "OFFER_DATES": "How the dates of the offer are moved when it is loaded; a space: not at all.",
    "EXAMPLE_PORTAL": "As which portal the example portal signs.",
    "EXAMPLE_PORTAL_KEY_ID": "The id of its key.",
    "EXAMPLE_PORTAL_SECRET": "The secret of its key.",
    "LOGNAME": "Who types the commands of the service console, for the log of reads.",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def env_example() -> str:
    """Every line is a comment, so that a copy of the example changes nothing."""
    compose = (ROOT / "docker-compose.yml").read_text()
    services = yaml.safe_load(compose)["services"]
    handed_on = {name: "" for service in SERVICES for name in _unset(services[service]["environment"])}
    taken = dict(_VARIABLE.findall(compose)) | handed_on
    fields = all_fields()
    text = [
        "# What docker-compose.yml and the services take from the environment; docs/settings.md says more.",
        "# Copy it to .env, and take the # away where you set something.",
        f"# {_WRITTEN}",
        "",
        "# ---- docker-compose.yml alone",
    ]
    for name, meaning in _OF_COMPOSE.items():
        text += _lines(name, meaning, "" if name.endswith("_SECRET") else taken.get(name, ""))
    text += ["", "# ---- settings that docker-compose.yml hands on to services"]
    for name in (name for name in fields if name in taken):
        text += _lines(name, _meaning(name), taken[name] or _default(name, fields[name]))
    text += [
        "",
        "# ---- settings that docker-compose.yml leaves, sets or has as files: for services run otherwise",
    ]
    for name in (name for name in fields if name not in taken):
        text += _lines(name, _meaning(name), _default(name, fields[name]))
    return "\n".join([*text, ""])


def _unset(environment: Mapping[str, str | None]) -> list[str]:
    return [name for name, value in environment.items() if value is None]


def _lines(name: str, meaning: str, value: str) -> Iterator[str]:
    field = all_fields().get(name)
    yield f"# {meaning}"
    yield f"#{name}=" + ("" if field is not None and is_secret(name, field) else value)


def _meaning(name: str) -> str:
    of = [service for service in SERVICES if name in fields_of(service)]
    return f"{all_fields()[name].description} ({'all' if len(of) == len(SERVICES) else ', '.join(of)})"


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if value is None or value is PydanticUndefined or is_secret(name, field):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


# ----------------------------------------------------------------------------------------------- the chart

CHART = Path("deploy/helm/parcours")
NOT_IN_CHART = {
    "PARCOURS_COMMIT": "the image has it",
    "KAFKA_GROUP_INSTANCE_ID": "it would have to differ from replica to replica",
    **{
        f"{service.upper()}_{port}": "the chart sets it"
        for service in SERVICES
        for port in ("PORT", "OPERATIONS_PORT")
    },
}
"""Settings that the chart's values never set, and why."""
_OF_LIBRARIES = {
    "PGSSLROOTCERT": "The certificate authority of the database (PEM), for sslmode=verify-full.",
    "SSL_CERT_FILE": "The certificate authorities of the issuer, where they are not public ones (PEM).",
}


def chart_settings() -> str:
    known = {
        service: _kinds(_of_chart(service))
        | {"topics": [topic.value for topic, agreed in TOPICS.items() if service in agreed.listeners]}
        for service in SERVICES
    }
    known["console"] = _kinds(field for service in SERVICES for field in _of_chart(service))
    return f"# {_WRITTEN}\n{yaml.safe_dump(known, sort_keys=False)}"


def _kinds(settings: Iterable[tuple[str, FieldInfo]]) -> dict[str, list[str]]:
    fields = dict(settings)
    return {
        "settings": [name for name, field in fields.items() if not _is_file(name, field)],
        "secrets": [name for name, field in fields.items() if is_secret(name, field)],
        "files": [name for name, field in fields.items() if is_path(field)] + list(_OF_LIBRARIES),
        "required": [name for name, field in fields.items() if field.is_required()],
    }


def chart_schema() -> str:
    schema = json.loads((ROOT / CHART / "values.schema.json").read_text())
    fields = dict(field for service in SERVICES for field in _of_chart(service))
    from_values = {name: _text_of(name, field) for name, field in fields.items() if not _is_file(name, field)}
    schema["definitions"]["settings"]["properties"] = from_values
    schema["definitions"]["secrets"]["properties"] = {
        name: {"description": meaning, "$ref": "#/definitions/secret"}
        for name, meaning in ({name: _meaning(name) for name in fields} | _OF_LIBRARIES).items()
    }
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def _of_chart(service: str) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for name, field in fields_of(service).items() if name not in NOT_IN_CHART)


def _is_file(name: str, field: FieldInfo) -> bool:
    """The chart takes such a setting only from a secret mounted as a file."""
    return is_secret(name, field) or is_path(field)


def _text_of(name: str, field: FieldInfo) -> dict[str, Any]:
    described = {"type": "string", "description": _meaning(name)}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return described | ({"enum": list(choices)} if choices else {})


# ----------------------------------------------------------------------------------------------- Strimzi

STRIMZI_CLUSTER = "kafka"


def strimzi_topics() -> str:
    documents = [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": name, "labels": {"strimzi.io/cluster": STRIMZI_CLUSTER}},
            "spec": {
                "partitions": agreed.partitions,
                "replicas": topics.REPLICAS,
                "config": agreed.broker_config | topics.durable(topics.REPLICAS),
            },
        }
        for name, agreed in topics.names([]).items()
    ]
    return f"# {_WRITTEN}\n{yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)}"


def strimzi_users() -> str:
    return f"# {_WRITTEN}\n{written(acls.users([]), AclFormat.STRIMZI, STRIMZI_CLUSTER)}\n"


# ----------------------------------------------------------------------------------------- write and check


def documents() -> dict[Path, str]:
    return {
        Path(".env.example"): env_example(),
        CHART / "settings.yaml": chart_settings(),
        CHART / "values.schema.json": chart_schema(),
        Path("deploy/kubernetes/kafka-topics.yaml"): strimzi_topics(),
        Path("deploy/kubernetes/kafka-users.yaml"): strimzi_users(),
    }


def main(arguments: list[str]) -> int:
    if arguments not in (["write"], ["check"]):
        sys.stderr.write("usage: python -m services.deployment write|check\n")
        return 2
    different = {
        path: text
        for path, text in documents().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    }
    if arguments == ["check"]:
        for path in different:
            sys.stderr.write(f"{path} is not as the code is: run 'make contracts'\n")
        return 1 if different else 0
    for path, text in different.items():
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
