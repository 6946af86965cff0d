"""Launch files for a cluster: the same command on several machines, by Slurm or Kubernetes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from netwright.core.errors import SettingError

_GRACE = 90
"""Seconds between the SIGTERM of a cluster and the end."""
_TO_SAVE = 80
"""Of them those in which torchrun waits for ranks to finish their step and save; then it kills."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is launched: `netwright train` with `words`, on `nodes` machines with `per_node`
    processes each, into the folder `run_dir` that all machines share."""

    words: Sequence[str]
    nodes: int
    per_node: int
    run_dir: str
    gpus: bool
    image: str = "IMAGE"

    def __post_init__(self) -> None:
        for name, value in (("--nodes", self.nodes), ("--per-node", self.per_node)):
            if value < 1:
                raise SettingError(
                    "{name}: {value} is not allowed: expected a whole number of at least 1.",
                    name=name,
                    value=value,
                )

    @property
    def command(self) -> list[str]:
        """What each machine runs besides the address of the first: ranks go on from the newest
        checkpoint, however often the job is started."""
        return [
            "torchrun",
            f"--nnodes={self.nodes}",
            f"--nproc-per-node={self.per_node}",
            "--max-restarts=3",
            "--rdzv-backend=c10d",
            "-m", "netwright", "train", *self.words, "--run-dir", self.run_dir,
            "--resume", "auto",
        ]  # fmt: skip


def slurm(job: Job) -> str:
    """A script for `sbatch`. Slurm sends SIGTERM 90 seconds before the time is up: the ranks save.
    The same script given again, or a job that is queued again, goes on."""
    words = list(job.command)
    words.insert(4, "RENDEZVOUS")
    words.insert(5, "ENDPOINT")
    text = shlex.join(words)
    text = text.replace("RENDEZVOUS", '--rdzv-id="$SLURM_JOB_ID"')
    text = text.replace("ENDPOINT", '--rdzv-endpoint="$first:29500"')
    gpus = [f"#SBATCH --gpus-per-node={job.per_node}"] if job.gpus else []
    return "\n".join(
        [
            "#!/bin/bash",
            "#SBATCH --job-name=netwright",
            f"#SBATCH --nodes={job.nodes}",
            "#SBATCH --ntasks-per-node=1",
            *gpus,
            "#SBATCH --requeue",
            f"#SBATCH --signal=TERM@{_GRACE}",
            "#SBATCH --output=netwright-%j.txt",
            "",
            "export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # restarted ranks need a store of their "
            "own",
            f"export TORCH_ELASTIC_SHUTDOWN_TIMEOUT={_TO_SAVE}  # to finish a step and save, "
            "not 30 s",
            'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            f"srun {text}",
            "",
        ]
    )


def k8s(job: Job) -> str:
    """An indexed Job and the service by which its pods find the first of them."""
    name = "netwright"
    words = list(job.command)
    words.insert(4, f"--rdzv-id={name}")
    words.insert(5, f"--rdzv-endpoint={name}-0.{name}:29500")
    container: dict[str, object] = {
        "name": "train",
        "image": job.image,
        "command": words,
        "workingDir": "/shared",  # relative paths, the run folder's too, are then the same for all
        "env": [
            {"name": "TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "value": "1"},
            {"name": "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "value": str(_TO_SAVE)},
        ],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    if job.gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": job.per_node}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"clusterIP": "None", "selector": {"job-name": name}},
    }
    pod = {
        "subdomain": name,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE,
        "containers": [container],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "CLAIM"}}],
    }
    batch = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "completionMode": "Indexed",
            "completions": job.nodes,
            "parallelism": job.nodes,
            "backoffLimit": 3,
            "template": {"spec": pod},
        },
    }
    return "---\n".join(yaml.safe_dump(each, sort_keys=False) for each in (service, batch))


KINDS: Mapping[str, Callable[[Job], str]] = MappingProxyType({"slurm": slurm, "k8s": k8s})
"""What `netwright launch --print` can write."""
