"""``python -m tests.support.chart VALIDATOR``: whether the Helm chart is right. For `make chart`.

Each file of values is linted, rendered, and held against the schemas of Kubernetes by kubernetes-validate;
what a container gets from it is read by the settings of its service. Where there is no helm, Go builds one.
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
BUILT = Path(".local/helm/helm")
SOURCES = Path("requirements/helm")
PROGRAM = "helm.sh/helm/v3/cmd/helm"
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


class NoHelm(Exception):
    """There is no helm and none can be built; the message says why."""


class Wrong(Exception):
    """Something is wrong with the chart; the message says what."""


def helm(root: Path = ROOT) -> str:
    """Return the helm of this project, or that of the machine, or build one. Raises :class:`NoHelm`."""
    built = root / BUILT
    found = str(built) if built.exists() else shutil.which("helm")
    if found is not None:
        return found
    if shutil.which("go") is None:
        raise NoHelm("neither helm nor Go is on this machine")
    say("Building helm, which takes some minutes the first time")
    build = ["go", "build", "-mod=readonly", "-trimpath", "-o", str(built), PROGRAM]
    answer = subprocess.run(build, cwd=root / SOURCES, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise NoHelm(f"Go cannot build it: {(answer.stderr.strip() or 'it said nothing').splitlines()[-1]}")
    return str(built)


def check(program: str, validator: str) -> None:
    """Check the chart with each of its files of values. Raises :class:`Wrong`."""
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
    """Check; returns 0 where all is right, or where there is no helm and this is not CI."""
    try:
        check(helm(), sys.argv[1])
    except NoHelm as error:
        say(f"NOT CHECKED: {error}. Install helm, or Go 1.25 or later, and say make chart again.")
        return 1 if os.environ.get("CI") else 0
    except Wrong as error:
        say(f"The chart is wrong: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
