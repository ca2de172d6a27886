"""``python -m tests.support.chart PROGRAMS``: checks the Helm chart. For `make chart`.

Each file of values is linted, rendered, and validated against the schemas of Kubernetes. The settings of each
service read the environment of its containers. ``PROGRAMS`` is the folder of helm and kubernetes-validate.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import yaml
from pydantic import ValidationError

from services.deployment import CHART, SERVICES
from tests.support.chart_resources import Manifest, faults

ROOT = Path(__file__).parents[2]
OLDEST, NEWEST = "1.27", "1.37"
"""The versions of Kubernetes that the chart is held against: the oldest it takes, and the newest known."""
OF_OPERATORS = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}
"""Kinds that Kubernetes itself does not know."""
MOUNTED = "/run/parcours/"
SECRETS = {
    "_DATABASE_URL": "postgresql://parcours:a-password@postgres/parcours?sslmode=verify-full",
    "LINK_SIGNING_KEY": "a-key-of-thirty-two-characters-or-more",
    "INTAKE_SIGNING_KEY": "whsec_YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=",
}
"""What stands in the secrets of an installation, by the end of the setting's name; else a word."""


class Wrong(Exception):
    """Something is wrong with the chart; the message says what."""


def check(programs: Path) -> None:
    """Check the chart with each of its files of values. Raises :class:`Wrong`."""
    validator = str(programs / "kubernetes-validate")
    program = shutil.which("helm", path=f"{programs}:{os.environ['PATH']}")
    if program is None:
        raise Wrong("not checked. Install helm: PyPI has none for this machine")
    for values in sorted((ROOT / CHART).glob("values-*.yaml")):
        given = [str(ROOT / CHART), "--values", str(values), "--kube-version", NEWEST]
        run([program, "lint", "--strict", "--quiet", *given])
        rendered = run([program, "template", "parcours", *given])
        scaled = run([program, "template", "parcours", *given, "--set", "autoscaling.kind=hpa"])
        newer = _resources(run([program, "template", "parcours", *given, "--set-string", "topics.tag=9.9.9"]))
        if [name for name, image in _images(newer) if image.endswith(":9.9.9")] != ["topics"]:
            raise Wrong(
                f"{values.name}: topics.tag is not the version by which topics are made, and no other"
            )
        for version in (OLDEST, NEWEST):
            said = run(
                [validator, "--strict", "--quiet", "--kubernetes-version", version, "-"],
                given=rendered + scaled,
            )
            unknown = {line.split("kind ")[1].split()[0] for line in said.splitlines() if "WARN" in line}
            if not unknown <= OF_OPERATORS:
                raise Wrong(f"{values.name}: Kubernetes {version} has no {', '.join(unknown - OF_OPERATORS)}")
        resources = _resources(rendered)
        keda = "ScaledObject" if values.stem == "values-production" else ""
        lacking = [*faults(resources, values.stem, keda)]
        lacking += faults(_resources(scaled), values.stem, "HorizontalPodAutoscaler")
        if lacking:
            raise Wrong(f"{values.name}: {'; '.join(lacking)}")
        containers = dict(environments(resources))
        for name, environment in containers.items():
            read_settings(name, environment)
        say(
            f"{values.name}: {len(resources)} resources are right for Kubernetes {OLDEST} and {NEWEST}, "
            f"and the settings for {', '.join(containers)}"
        )


def _images(resources: list[Manifest]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        if resource["kind"] in ("Deployment", "Job"):
            for container in resource["spec"]["template"]["spec"]["containers"]:
                yield container["name"], container["image"]


def _resources(rendered: str) -> list[Manifest]:
    return [resource for resource in yaml.safe_load_all(rendered) if resource]


def environments(resources: list[Manifest]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each container of these resources by its name, and what its environment has."""
    config = {of["metadata"]["name"]: of["data"] for of in resources if of["kind"] == "ConfigMap"}
    for resource in resources:
        if resource["kind"] in ("Deployment", "Job"):
            for container in resource["spec"]["template"]["spec"]["containers"]:
                given = {entry["name"]: entry["value"] for entry in container["env"]}
                for source in container.get("envFrom", ()):
                    given |= config[source["configMapRef"]["name"]]
                yield container["name"], given


def read_settings(container: str, environment: dict[str, str]) -> None:
    """Load the settings of a container's services from its environment. Raises :class:`Wrong`."""
    with tempfile.TemporaryDirectory() as folder:
        here = {name: value.replace(MOUNTED, f"{folder}/") for name, value in environment.items()}
        for name, path in environment.items():
            if path.startswith(MOUNTED):
                setting = path.removeprefix(MOUNTED)
                known = (text for end, text in SECRETS.items() if setting.endswith(end))
                Path(here[name]).write_text(next(known, "a-secret"))
        with mock.patch.dict(os.environ, here, clear=True):
            for service in services_of(container):
                try:
                    SERVICES[service]()
                except ValidationError as error:
                    raise Wrong(f"the container {container} cannot start: {error}") from error


def services_of(container: str) -> list[str]:
    """The services whose settings a container reads; the console reads those of all."""
    if container == "topics":
        return ["catalogue"]
    return [name for name in SERVICES if name == container.removesuffix("-migrate")] or list(SERVICES)


def run(command: list[str], *, given: str = "") -> str:
    """Run a program and return what it printed. Raises :class:`Wrong` where it fails."""
    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise Wrong(f"{' '.join(command)}\n{answer.stdout}{answer.stderr}")
    return answer.stdout


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Check. Returns 0 if the chart is right."""
    try:
        check(Path(sys.argv[1]))
    except Wrong as error:
        say(f"The chart is wrong: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
