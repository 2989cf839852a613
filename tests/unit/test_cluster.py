"""What cluster/ carries is the application of serve_config.yaml, and valid to those who read it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.serve.schema import ServeDeploySchema

from deployments.app import build_app
from pipeline.config import ServiceConfig

ROOT = Path(__file__).parents[2]
SCALING_FIELDS = {"ray_actor_options", "autoscaling_config"}


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def single_machine() -> dict[str, Any]:
    return load("serve_config.yaml")


def kuberay() -> dict[str, Any]:
    return yaml.safe_load(load("cluster/rayservice.yaml")["spec"]["serveConfigV2"])


def cluster_launcher() -> dict[str, Any]:
    commands = "\n".join(load("cluster/ray-cluster.yaml")["head_start_ray_commands"])
    found = re.search(r"<<'(\w+)'\n(.*)^\1$", commands, re.DOTALL | re.MULTILINE)
    assert found
    return yaml.safe_load(found[2])


CONFIGS = [single_machine, kuberay, cluster_launcher]
IDS = [config.__name__ for config in CONFIGS]


def without_scaling(application: dict[str, Any]) -> dict[str, Any]:
    deployments = [
        {name: value for name, value in deployment.items() if name not in SCALING_FIELDS}
        for deployment in application["deployments"]
    ]
    args = {
        stage: {name: value for name, value in settings.items() if name not in ("num_threads", "max_threads")}
        for stage, settings in application["args"].items()
    }
    return {**application, "args": args, "deployments": deployments}


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_serve_accepts_the_configuration(config: Callable[[], dict[str, Any]]) -> None:
    schema = ServeDeploySchema.model_validate(config())
    assert [application.import_path for application in schema.applications] == ["deployments.app:build_app"]


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_its_args_are_a_service_config_and_its_deployments_those_of_the_app(
    config: Callable[[], dict[str, Any]],
) -> None:
    (application,) = config()["applications"]
    ServiceConfig.model_validate(application["args"])
    ingress = build_app(application["args"])._bound_deployment
    stages = [stage._bound_deployment.name for stage in ingress.init_args[1:]]
    assert [deployment["name"] for deployment in application["deployments"]] == [ingress.name, *stages]


@pytest.mark.parametrize("config", CONFIGS[1:], ids=IDS[1:])
def test_a_cluster_differs_only_in_what_scales(config: Callable[[], dict[str, Any]]) -> None:
    (ours,), (theirs,) = single_machine()["applications"], config()["applications"]
    assert without_scaling(theirs) == without_scaling(ours)


def test_one_replica_of_each_deployment_fits_two_cores() -> None:
    (application,) = single_machine()["applications"]
    num_cpus = [
        deployment["ray_actor_options"]["num_cpus"] * deployment["autoscaling_config"]["min_replicas"]
        for deployment in application["deployments"]
    ]
    assert math.fsum(num_cpus) <= 2


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_the_engine_refuses_before_ray_lets_requests_wait(config: Callable[[], dict[str, Any]]) -> None:
    (application,) = config()["applications"]
    acoustic = ServiceConfig.model_validate(application["args"]).acoustic
    limits = {deployment["name"]: deployment["max_ongoing_requests"] for deployment in application["deployments"]}
    assert limits["AcousticModel"] > acoustic.max_batch_size + acoustic.max_queued
    assert limits["Ingress"] > acoustic.max_batch_size + acoustic.max_queued


def test_a_worker_of_kuberay_holds_one_replica_of_each_deployment() -> None:
    cluster = load("cluster/rayservice.yaml")["spec"]["rayClusterConfig"]
    (worker,) = cluster["workerGroupSpecs"]
    (container,) = worker["template"]["spec"]["containers"]
    (application,) = kuberay()["applications"]
    num_cpus = sum(deployment["ray_actor_options"]["num_cpus"] for deployment in application["deployments"])
    assert num_cpus <= float(container["resources"]["requests"]["cpu"])
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_no_container_runs_as_root() -> None:
    cluster = load("cluster/rayservice.yaml")["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert all(not c["securityContext"]["allowPrivilegeEscalation"] for c in pod["containers"])
    assert re.search(r"^USER 1000$", (ROOT / "cluster/Dockerfile").read_text("utf-8"), re.MULTILINE)


def test_rays_cluster_launcher_accepts_its_file() -> None:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text("utf-8"))
    jsonschema.validate(load("cluster/ray-cluster.yaml"), schema)


def test_the_image_can_replace_the_host_of_the_configuration() -> None:
    dockerfile = (ROOT / "cluster/Dockerfile").read_text("utf-8")
    pattern, replacement = re.findall(r"sed -i 's/(.+?)/(.+?)/' serve_config\.yaml", dockerfile)[0]
    text, num_replaced = re.subn(pattern, replacement, (ROOT / "serve_config.yaml").read_text("utf-8"))
    assert num_replaced == 1
    assert yaml.safe_load(text)["http_options"]["host"] == "0.0.0.0"


def test_the_dashboard_shows_every_metric_of_ours_and_no_other() -> None:
    ours = set(re.findall(r'"(tts_\w+)"', (ROOT / "deployments/metrics.py").read_text("utf-8")))
    dashboard = json.loads((ROOT / "cluster/grafana-dashboard.json").read_text("utf-8"))
    expressions = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    shown = set(re.findall(r"ray_(tts_\w+?)(?:_bucket)?\b(?=[\[)])", expressions))
    assert shown == ours


def test_prometheus_finds_the_ports_that_pods_offer() -> None:
    (endpoint,) = load("cluster/pod-monitor.yaml")["spec"]["podMetricsEndpoints"]
    cluster = load("cluster/rayservice.yaml")["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert endpoint["port"] in [port["name"] for port in container["ports"]]
