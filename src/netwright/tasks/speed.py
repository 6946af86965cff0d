"""How a step is computed: memory layout, precision, compiled or not; chosen by measuring.

No fixed rule wins: `channels_last` saves up to a third on one network and nothing on another,
bf16 halves a step on one processor and multiplies it on the next, a compiled network pays for
its compiling only in a long run. So what a recipe leaves to `auto` is tried for a few steps on
a copy of the network, in turns with the way it is, and taken only where it is clearly faster.
"""

from __future__ import annotations

import contextlib
import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.tasks.computing import exact, reproducible
from netwright.tasks.recipe import RunOptions

Loss: TypeAlias = Callable[[Tensor], Tensor]
"""The loss of a network's logits for the batch of the trial."""

WORTH_A_TRIAL = 60.0
"""Seconds that a run takes as it is; in a shorter one a trial would cost what it can save."""
WORTH_A_LAYOUT = 1000
"""Steps of a run that is worth some 15 more for the layout alone, however short they are; it
changes the last digits only."""
WORTH_COMPILING = 7200.0
"""The same for compiling, which alone takes 14 to 270 seconds."""
CLEAR = 0.95
"""A way is taken when its median step takes no more than this share of the other's."""

_PAIRS = 5
_COMPILED_PAIRS = 3
_HOPELESS = 1.1  # two pairs above this share, and a way is given up


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The way a step is computed; as it stands, the plain one of torch.

    `tf32` is for a GPU alone: products of float32 with 10 bits behind the point."""

    channels_last: bool = False
    bf16: bool = False
    fp16: bool = False
    tf32: bool = False
    compile: bool = False

    @property
    def is_mixed(self) -> bool:
        """Whether logits are computed in a type of 16 bits."""
        return self.bf16 or self.fp16

    @property
    def precision(self) -> str:
        """The value of `run.precision` that this is."""
        return "bf16" if self.bf16 else "fp16" if self.fp16 else "float32"

    def switch(self, device: torch.device) -> None:
        """Set what torch knows for the whole process only."""
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32

    def prepare(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """What to call with images in place of `model`, which is converted in place."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return _compiled(model) if self.compile else model

    def images(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in the layout that the network wants."""
        if self.channels_last and images.ndim == 4:
            return images.contiguous(memory_format=torch.channels_last)
        return images

    def computing(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """The block in which logits are computed."""
        if self.is_mixed:
            return torch.autocast(device.type, dtype=torch.bfloat16 if self.bf16 else torch.float16)
        return contextlib.nullcontext()

    def words(self) -> str:
        """As a plan says it: `float32`, `bf16, channels_last, compiled`."""
        words = [self.precision] + (["tf32"] if self.tf32 else [])
        words += ["channels_last"] if self.channels_last else []
        words += ["compiled"] if self.compile else []
        return ", ".join(words)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a trial found: the way to go, and the share of the plain step's time that each way
    that was tried takes; no `ratios` where it was not worth trying."""

    speed: Speed
    ratios: dict[str, float]
    seconds: float


def asked(options: RunOptions) -> Speed:
    """What a recipe says outright; `auto` counts as no."""
    return Speed(
        channels_last=options.channels_last is True,
        bf16=options.precision == "bf16",
        fp16=options.precision == "fp16",
        tf32=options.tf32 is True,
        compile=options.compile is True,
    )


def is_open(options: RunOptions, device: torch.device | None = None) -> bool:
    """Whether a recipe leaves anything to be measured (on `device`, where it is known)."""
    on_gpu = device is not None and device.type == "cuda"
    asked = (options.channels_last, options.precision, options.compile)
    return "auto" in asked or (on_gpu and options.tf32 == "auto")


def try_out(
    options: RunOptions,
    model: nn.Module,
    images: Tensor,
    loss: Loss,
    *,
    steps: int,
    device: torch.device,
    worth: float | None = None,
    worth_compiling: float | None = None,
) -> Trial:
    """Choose what `options` leave to `auto`, for `steps` steps on batches like `images`.

    Works on a copy of `model`; the model, its buffers and torch's random state are as before.
    A network that cannot be copied stays as it is; a way that fails is not gone. In a run of less
    than `worth` seconds (`WORTH_A_TRIAL`) the layout alone is tried, if it has `WORTH_A_LAYOUT`
    steps; nothing is compiled for one of less than `worth_compiling` seconds (`WORTH_COMPILING`).
    """
    worth = WORTH_A_TRIAL if worth is None else worth
    worth_compiling = WORTH_COMPILING if worth_compiling is None else worth_compiling
    started = time.perf_counter()
    speed = asked(options)
    ratios: dict[str, float] = {}
    with _apart(device):
        plain = _runner(model, speed, images, loss, device)
        if plain is None:
            return Trial(speed=speed, ratios={}, seconds=0.0)
        try:
            plain()
            whole = steps * min(plain(), plain())
        except Exception:  # out of memory, or a fault of the network: the first step tells of it
            return Trial(speed=speed, ratios={}, seconds=0.0)
        for name in _ways(options, device, model):
            enough = worth_compiling if name == "compile" else worth
            if whole < enough and (name != "channels_last" or steps < WORTH_A_LAYOUT):
                continue
            tried = replace(speed, **{name: True})
            pairs = _COMPILED_PAIRS if name == "compile" else _PAIRS
            ratio = _compare(
                _runner(model, speed, images, loss, device),
                _runner(model, tried, images, loss, device),
                pairs,
            )
            ratios[name] = ratio
            if ratio <= CLEAR:
                speed = tried
                whole *= ratio
    return Trial(speed=speed, ratios=ratios, seconds=time.perf_counter() - started)


def cost_of_exactness(
    speed: Speed, model: nn.Module, images: Tensor, loss: Loss, device: torch.device
) -> float:
    """The time of a step with deterministic algorithms as a share of that without; infinite where
    it cannot be measured."""

    def under(wanted: bool) -> Callable[[], float] | None:
        step = _runner(model, speed, images, loss, device)
        if step is None:
            return None

        def switched() -> float:
            exact(wanted)
            return step()

        return switched

    with _apart(device), reproducible():
        return _compare(under(False), under(True), _PAIRS)


def _ways(options: RunOptions, device: torch.device, model: nn.Module) -> Iterator[str]:
    on_gpu = device.type == "cuda"
    if options.channels_last == "auto" and any(each.ndim == 4 for each in model.parameters()):
        yield "channels_last"
    if options.tf32 == "auto" and on_gpu:
        yield "tf32"
    if options.precision == "auto":
        # float16 asks for a scaler and loses steps to it: only where there is nothing better.
        yield "fp16" if on_gpu and not torch.cuda.is_bf16_supported(False) else "bf16"
    if options.compile == "auto":
        yield "compile"


def _runner(
    model: nn.Module, speed: Speed, images: Tensor, loss: Loss, device: torch.device
) -> Callable[[], float] | None:
    """A function that takes one step, forward and backward, and returns its seconds; None where
    this way cannot be gone."""
    try:
        own = copy.deepcopy(model)
    except (RuntimeError, TypeError, NotImplementedError, AttributeError):
        return None  # locks, open files, tensors inside a graph
    network = speed.prepare(own)

    def step() -> float:
        speed.switch(device)
        _wait(device)
        begun = time.perf_counter()
        with speed.computing(device):
            logits = network(speed.images(images))
        loss(logits.float()).backward()
        _wait(device)
        taken = time.perf_counter() - begun
        own.zero_grad(set_to_none=True)
        return taken

    return step


def _compare(plain: Callable[[], float] | None, other: Callable[[], float] | None, n: int) -> float:
    """The median time of `other` as a share of that of `plain`, taken in turns; infinite where
    either fails."""
    if plain is None or other is None:
        return math.inf
    try:
        for step in (plain, other, other):  # the first steps compile, plan and warm up
            step()
        ratios: list[float] = []
        for _ in range(n):
            mine = plain()
            ratios.append(other() / mine)
            if len(ratios) == 2 and min(ratios) > _HOPELESS:
                break
    except Exception as error:  # a compiler or a kernel that is not there can raise anything
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise
        return math.inf
    return statistics.median(ratios)


def _compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """`model` compiled, which happens at the first call: where it cannot be, that is told."""
    fast = torch.compile(model)

    def call(images: Tensor) -> Tensor:
        try:
            logits: Tensor = fast(images)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            raise SettingError(
                "run.compile: the network cannot be compiled here: {reason}",
                hint="Set run.compile=false; or install a C++ compiler (g++), if that is missing.",
                reason=str(error).strip().partition("\n")[0],
            ) from error
        return logits

    return call


@contextlib.contextmanager
def _apart(device: torch.device) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
