"""What an installation by the Helm chart has to have: every resource, and what each pod runs with."""

from collections.abc import Iterator
from typing import Any

from services.deployment import SERVICES

Manifest = dict[str, Any]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
LONGEST_STOP_SECONDS = 65
"""How long a service may take to stop, and the five seconds before."""


def expected(values: str, scaled_by: str) -> set[tuple[str, str]]:
    """Return the kind and name of every resource by a file of values; ``scaled_by``: the kind that scales."""
    of_services = ["ConfigMap", "Service", "PodDisruptionBudget", "Deployment"]
    jobs = {"parcours-topics", *(f"parcours-{service}-migrate" for service in SERVICES)}
    rest = {("Deployment", "parcours-console"), ("Ingress", "parcours"), *(("Job", job) for job in jobs)}
    if scaled_by:
        of_services.append(scaled_by)
    if values == "values-production":
        of_services.append("NetworkPolicy")
        rest |= {("NetworkPolicy", name) for name in ("parcours-console", *jobs)}
        rest |= {(kind, "parcours") for kind in ("ServiceMonitor", "PrometheusRule")}
    return rest | {(kind, f"parcours-{service}") for kind in of_services for service in SERVICES}


def faults(resources: list[Manifest], values: str, scaled_by: str) -> Iterator[str]:
    """Yield what is missing, or there too much, and what a resource lacks."""
    found = {(resource["kind"], resource["metadata"]["name"]): resource for resource in resources}
    for kind, name in sorted(expected(values, scaled_by) ^ found.keys()):
        yield f"{kind} {name} is {'not known' if (kind, name) in found else 'missing'}"
    pods = [
        found[key]["spec"]["template"]
        for key in found
        if key[0] in ("Deployment", "Job") and key in expected(values, "")
    ]
    for (kind, name), resource in found.items():
        if kind in ("Deployment", "Job"):
            for fault in _of_pod(resource["spec"]["template"]["spec"]):
                yield f"{kind} {name}: {fault}"
        if kind == "Deployment" and name != "parcours-console":
            for fault in _of_service(resource["spec"]["template"]["spec"]):
                yield f"{kind} {name}: {fault}"
        if kind == "Job" and resource["metadata"]["annotations"]["helm.sh/hook"] != "pre-install,pre-upgrade":
            yield f"{kind} {name} does not run before the others"
        if kind == "ServiceMonitor" and not all(
            endpoint.get("honorLabels") for endpoint in resource["spec"]["endpoints"]
        ):
            yield f"{kind} {name} takes the label of whose process it is away, by which ParcoursDown is told"
        selector = _selector(resource)
        if selector is not None and not any(_selects(selector, pod) for pod in pods):
            yield f"{kind} {name} selects no pod"
        target = resource.get("spec", {}).get("scaleTargetRef")
        if target is not None and ("Deployment", target["name"]) not in found:
            yield f"{kind} {name} scales nothing"


def _of_pod(spec: Manifest) -> Iterator[str]:
    """What a pod lacks so that it can do no harm, nor take more than its share."""
    if (
        not spec["securityContext"].get("runAsNonRoot")
        or spec.get("automountServiceAccountToken") is not False
    ):
        yield "it may be root, or has rights in the cluster"
    for container in spec["containers"]:
        security = container["securityContext"]
        if (
            not security.get("readOnlyRootFilesystem")
            or security.get("allowPrivilegeEscalation") is not False
        ):
            yield "it may write, or get more rights"
        if security.get("capabilities") != {"drop": ["ALL"]}:
            yield "it keeps capabilities"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or "cpu" not in resources.get("requests", {}):
            yield "it has no limit of memory, or asks for no processor"


def _of_service(spec: Manifest) -> Iterator[str]:
    """What a pod of a service lacks so that it is asked how it is, stops in peace, and is not alone."""
    (container,) = spec["containers"]
    for probe in PROBES:
        if probe not in container:
            yield f"it has no {probe}"
    if spec.get("terminationGracePeriodSeconds", 0) < LONGEST_STOP_SECONDS or "lifecycle" not in container:
        yield "it is not given the time to stop"
    if len(spec.get("topologySpreadConstraints", ())) != 2:
        yield "its replicas are not spread over zones and machines"


def _selector(resource: Manifest) -> dict[str, str] | None:
    """Return the labels by which a resource selects pods; None: it selects none."""
    spec = resource.get("spec", {})
    match resource["kind"]:
        case "Service":
            return dict(spec["selector"])
        case "PodDisruptionBudget" | "Deployment":
            return dict(spec["selector"]["matchLabels"])
        case "NetworkPolicy":
            return dict(spec["podSelector"]["matchLabels"])
    return None


def _selects(selector: dict[str, str], pod: Manifest) -> bool:
    return bool(selector) and selector.items() <= pod["metadata"]["labels"].items()
