"""The manifests: valid for Kubernetes, and in agreement with the service and its image."""

import re
import warnings

import pytest
import yaml

from conftest import ROOT
from patclass.service.metrics import Metrics

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
MANIFESTS = {
    name: yaml.safe_load((FOLDER / name).read_text()) for name in KUSTOMIZATION["resources"]
}
POD = MANIFESTS["deployment.yaml"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_the_kustomization_lists_every_manifest():
    there = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(MANIFESTS) == there


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_valid(name: str):
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


def test_a_mistake_would_be_found():
    wrong = MANIFESTS["disruption.yaml"] | {"spec": {"maxUnavailble": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_selectors_find_the_pods():
    labels = MANIFESTS["deployment.yaml"]["spec"]["template"]["metadata"]["labels"]
    for name, path in {
        "deployment.yaml": ("selector", "matchLabels"),
        "service.yaml": ("selector",),
        "disruption.yaml": ("selector", "matchLabels"),
        "network.yaml": ("podSelector", "matchLabels"),
    }.items():
        found = MANIFESTS[name]["spec"]
        for key in path:
            found = found[key]
        assert found.items() <= labels.items(), name
    assert MANIFESTS["autoscaler.yaml"]["spec"]["scaleTargetRef"]["name"] == "api"


def test_nothing_runs_as_root_or_writes_to_the_image():
    assert POD["securityContext"]["runAsNonRoot"]
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    image = (ROOT / "Dockerfile").read_text()
    user = POD["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in image


def test_the_pod_agrees_with_the_image():
    image = (ROOT / "Dockerfile").read_text()
    command = yaml.safe_load(re.search(r"^CMD (\[.*\])$", image, re.MULTILINE)[1])
    assert CONTAINER["args"][: len(command)] == command
    assert CONTAINER["ports"][0]["containerPort"] == int(command[-1])
    for variable in CONTAINER["env"]:
        assert f"{variable['name']}=" in image
    mounted = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert {"/keys", "/models", "/tmp"} == mounted
    writable = {
        mount["mountPath"] for mount in CONTAINER["volumeMounts"] if "readOnly" not in mount
    }
    assert writable == {"/tmp"}


def test_it_scales_by_a_metric_that_the_service_has():
    (metric,) = MANIFESTS["autoscaler.yaml"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in Metrics().text().decode()
