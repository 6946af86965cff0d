"""The recipe: what to run, as one frozen tree of settings.

A recipe is made by `netwright.tasks.settings.resolve`, which merges defaults, a recipe file,
the environment and the command line; here stand only its shape and its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.data.opening import DataOptions
from netwright.optim.schedules import ScheduleCommon
from netwright.tasks.transfer import TransferOptions


@config
class General:
    """The settings at the top level of a recipe."""

    task: str = setting("classification", help="what kind of problem is trained")
    epochs: int = setting(10, ge=0, help="passes over the training data", search=(1, 200))
    steps: int | None = setting(None, ge=0, help="weight updates, instead of epochs")
    batch: int = setting(64, ge=1, help="images in one pass through the network", search=(16, 512))
    seed: int = setting(0, ge=0, le=2**63 - 1, help="the number every random choice follows from")
    seeds: int = setting(
        1, ge=1, le=1000, help="how many runs, with seed, seed+1, ...; their spread is reported"
    )
    device: str = setting("auto", help="auto, cpu, cuda or cuda:N")
    devices: int = setting(
        1,
        ge=1,
        le=4096,
        help="processes that train together, each on a GPU or on its part of the processors; "
        "they share each batch",
    )

    def __post_init__(self) -> None:
        if self.seed + self.seeds > 2**63:
            raise SettingError(
                "seed: {seed} is too large for seeds={seeds}: the last would be above 2^63 - 1.",
                seed=self.seed,
                seeds=self.seeds,
            )
        if self.batch < self.devices:
            raise SettingError(
                "batch: {batch} is fewer images than devices={devices}.",
                hint="Set batch={devices} or a multiple of it, or take fewer devices.",
                batch=self.batch,
                devices=self.devices,
            )
        if self.batch % self.devices:
            raise SettingError(
                "batch: {batch} cannot be shared equally among devices={devices}.",
                hint="Set batch={fewer} or batch={more}.",
                batch=self.batch,
                devices=self.devices,
                fewer=self.batch // self.devices * self.devices,
                more=(self.batch // self.devices + 1) * self.devices,
            )


@config
class ModelCommon:
    """The settings of any model, registered or not."""

    weights: str | None = setting(
        None,
        help="what the network starts from: a .safetensors or .pth file, a run, ADAPTER:FILE, an "
        "address with its checksum (https://...#sha256=...), or imagenet1k-v1",
    )


@config
class RunOptions:
    """How a run is saved, averaged and ended."""

    checkpoint_every: int | str = setting(
        "1min", help="steps between two checkpoints, or a time such as 30s, 5min, 1h"
    )
    keep: int = setting(3, ge=1, help="checkpoints kept besides the best")
    select: Literal["best", "last"] = setting(
        "best",
        help="which weights count: the best on validation, or the last; with few validation "
        "images the best is often luck",
    )
    early_stop: int | None = setting(
        None, ge=1, help="end after this many epochs without a better validation score"
    )
    ema: float | None = setting(
        None, gt=0, lt=1, help="decay of a running average of the weights, which is then evaluated"
    )
    tensorboard: bool = setting(
        False, help="also write what TensorBoard shows, to RUN/tensorboard (extra [track])"
    )

    channels_last: bool | Literal["auto"] = setting(
        "auto", help="keep images channels last; auto measures whether that is faster here"
    )
    precision: Literal["auto", "float32", "bf16", "fp16"] = setting(
        "auto",
        help="numbers a step is computed in; auto takes bf16 where it is measured faster here; "
        "fp16, with a scaled loss, is for GPUs without bf16",
    )
    tf32: bool | Literal["auto"] = setting(
        "auto", help="on a GPU, products of float32 in fewer bits; auto measures it"
    )
    deterministic: bool = setting(
        True, help="the same bits again on a GPU, at a cost that long runs print; always on a CPU"
    )
    compile: bool | Literal["auto"] = setting(
        "auto", help="compile the network; auto measures it in runs above two hours"
    )
    backend: Literal["auto", "gloo", "nccl"] = setting(
        "auto", help="how several processes talk: nccl between GPUs, gloo between processors"
    )
    sync_norm: bool = setting(
        True,
        help="whether batch norm takes its statistics of the images that all processes have in a "
        "pass, as one process would, or each of its own",
    )
    shard: bool | Literal["auto"] = setting(
        "auto",
        help="whether weights, gradients and the optimizer's numbers are cut among the processes; "
        "auto does so where they do not fit into the memory of one",
    )
    rank_timeout: int = setting(
        600, ge=1, le=86400, help="seconds that one of several processes may be silent"
    )
    stack: Literal["auto", "always", "never"] = setting(
        "auto",
        help="whether several seeds are trained as one stacked model: auto times both ways",
    )

    def __post_init__(self) -> None:
        save_interval(self.checkpoint_every)
        if self.early_stop is not None and self.select == "last":
            raise SettingError(
                "run.early_stop goes back to the best weights: it needs select=best."
            )


@config
class DoctorOptions:
    """Whether the doctor watches the run."""

    mode: Literal["off", "watch", "repair"] = setting(
        "off",
        help="watch has the doctor look at the training and name what it suffers from; with "
        "repair a run that fails goes back, is treated, and goes on",
    )
    budget: float = setting(
        0.02, gt=0, le=1, help="share of the training's own time that watching may take"
    )
    repairs: int = setting(
        3, ge=1, le=100, help="how often a run may be treated, with doctor.mode=repair"
    )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A leaf of a family and its settings: `optim.name=adamw optim.lr=0.001`."""

    name: str
    options: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return _choice, (self.name, dict(self.options))


def _choice(name: str, options: dict[str, Any]) -> Choice:
    return Choice(name=name, options=MappingProxyType(options))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run computes."""

    general: General
    data: DataOptions
    model: Choice
    model_common: ModelCommon
    optim: Choice
    sched: Choice
    sched_common: ScheduleCommon
    loss: Choice
    init: Choice | None
    transfer: TransferOptions
    aug: Mapping[str, Any]
    run: RunOptions
    doctor: DoctorOptions

    @property
    def accumulate(self) -> int:
        """Passes, of `general.batch` images each, that make one update."""
        return int(self.optim.options.get("accumulate", 1))


def save_interval(value: int | str) -> tuple[int | None, float | None]:
    """`run.checkpoint_every` as (steps, seconds), one of them None.

    >>> save_interval(200), save_interval("5min"), save_interval("90s")
    ((200, None), (None, 300.0), (None, 90.0))
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|)\s*", str(value))
    if match is None or (not match[2] and "." in match[1]) or float(match[1]) <= 0:
        raise SettingError(
            "run.checkpoint_every: {value} is not allowed: expected a number of steps above 0, "
            "or a time such as 30s, 5min, 1h.",
            value=value,
        )
    if not match[2]:
        return int(match[1]), None
    return None, float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]
