"""How cores are divided between the deployments, as lines of serve_config.yaml and as a whole file of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

INGRESS_CPUS, FRONTEND_CPUS = 0.1, 0.2  # Ray's accounting for the light stages
MAX_ONGOING_REQUESTS = 256  # above what the engine queues, so that the engine refuses and Ray lets nothing wait unseen
# glibc asks for huge pages, which Linux in its mode "madvise" gives to those who ask.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
# For Ray, in each replica: passing requests between threads for its own code, its router and ours takes longer.
ONE_EVENT_LOOP = {"RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0", "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0"}
_HEADER = "# Made by `cosyvoice-serve bench tune`. args.model.bundle is the folder of the bundle to speak with."


@dataclass(frozen=True, slots=True)
class Plan:
    """Threads and replicas of the two heavy stages, and what Ray shall count for each replica."""

    acoustic_threads: int
    acoustic_cpus: float
    token2wav_threads: int
    token2wav_cpus: float
    token2wav_replicas: int
    max_batch_size: int

    @classmethod
    def even(cls, num_cpus: int, max_batch_size: int) -> Plan:
        """One replica of each heavy stage, with half of the cores each."""
        threads, cpus = max(1, num_cpus // 2), rounded((num_cpus - INGRESS_CPUS - FRONTEND_CPUS) / 2)
        return cls(
            acoustic_threads=threads,
            acoustic_cpus=cpus,
            token2wav_threads=threads,
            token2wav_cpus=cpus,
            token2wav_replicas=1,
            max_batch_size=max_batch_size,
        )

    @classmethod
    def shared(cls, num_cpus: int, max_batch_size: int) -> Plan:
        """The same, but token2wav may use every core: it has most of the work, and cores must not idle meanwhile."""
        return replace(cls.even(num_cpus, max_batch_size), token2wav_threads=num_cpus)

    @property
    def max_acoustic_threads(self) -> int:
        """While token2wav has nothing to do: its cores, too."""
        return max(self.acoustic_threads, self.token2wav_threads)

    def lines(self) -> str:
        """The lines of serve_config.yaml that carry it out; Ray takes `num_replicas` or `autoscaling_config`."""
        return f"""\
args:
  acoustic:
    num_threads: {self.acoustic_threads}
    max_threads: {self.max_acoustic_threads}
    max_batch_size: {self.max_batch_size}
  token2wav:
    num_threads: {self.token2wav_threads}
deployments:
  - name: AcousticModel
    num_replicas: 1 # in place of autoscaling_config
    ray_actor_options:
      num_cpus: {self.acoustic_cpus:g}
  - name: Token2Wav
    num_replicas: {self.token2wav_replicas} # in place of autoscaling_config
    ray_actor_options:
      num_cpus: {self.token2wav_cpus:g}
"""

    def serve_file(self, args: Mapping[str, Any], host: str = "127.0.0.1", port: int = 8000) -> str:
        """A whole serve_config.yaml. `args`: a ServiceConfig as plain values; the plan's own go before them."""
        acoustic = {**args.get("acoustic", {}), "num_threads": self.acoustic_threads}
        acoustic.update(max_threads=self.max_acoustic_threads, max_batch_size=self.max_batch_size)
        token2wav = {**args.get("token2wav", {}), "num_threads": self.token2wav_threads}
        application = {
            "name": "cosyvoice",
            "route_prefix": "/",
            "import_path": "deployments.app:build_app",
            "runtime_env": {"env_vars": {**ONE_EVENT_LOOP, **HUGE_PAGES}},
            "args": {**args, "acoustic": acoustic, "token2wav": token2wav},
            "deployments": [
                _deployment("Ingress", 1, INGRESS_CPUS),
                _deployment("TextFrontend", 1, FRONTEND_CPUS),
                _deployment("AcousticModel", 1, self.acoustic_cpus),
                _deployment("Token2Wav", self.token2wav_replicas, self.token2wav_cpus),
            ],
        }
        content = {"http_options": {"host": host, "port": port}, "applications": [application]}
        return f"{_HEADER}\n{json.dumps(content, indent=2)}\n"  # JSON is YAML


def _deployment(name: str, num_replicas: int, num_cpus: float) -> dict[str, Any]:
    return {
        "name": name,
        "num_replicas": num_replicas,
        "max_ongoing_requests": MAX_ONGOING_REQUESTS,
        "ray_actor_options": {"num_cpus": num_cpus},
        "logging_config": {
            "enable_access_log": name == "Ingress"
        },  # it logs each request; calls within are faster without
    }


def rounded(cpus: float) -> float:
    """Down to hundredths, so that the replicas together never ask for more than there is."""
    return int(cpus * 100) / 100
