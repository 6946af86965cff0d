"""Who takes part in the speed benchmark, in one table: a row of `train.md` is one line here.

`words` are the loop's own: for `netwright` settings of the command, for the others what their
file says. A change of the table asks for `--fresh`, so that a round compares what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ALL = ("lenet5", "resnet20", "mobilenet_v2")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row. `home` is the environment it lives in (`peer_homes.py`), "" this one; `bf16` is
    not compared with peers in float32 but beside them; `more` takes part with `--all` only."""

    name: str
    loop: str
    words: tuple[str, ...] = ()
    home: str = ""
    setups: tuple[str, ...] = ALL
    goals: tuple[str, ...] = ()
    """Setups on which it also trains to the goal."""
    environ: Mapping[str, str] = field(default_factory=dict)
    bf16: bool = False
    more: bool = False

    @property
    def ours(self) -> bool:
        return self.loop == "netwright"

    @property
    def feeds(self) -> tuple[str, ...]:
        """How it can be fed: torch's DataLoader is for those on torch."""
        return (
            ("memory", "loader") if self.loop in ("bare", "lightning", "netwright") else ("memory",)
        )


GOALS = ("lenet5", "resnet20")
TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}
JAX = {"KERAS_BACKEND": "jax"}

CONTENDERS = (
    Contender(name="bare loop", loop="bare", goals=GOALS),
    Contender(
        name="bare loop, compiled, channels last",
        loop="bare",
        words=("channels_last=true", "compile=true"),
        goals=("resnet20",),
        more=True,
    ),
    Contender(name="bare loop, channels last", loop="bare", words=("channels_last=true",)),
    Contender(
        name="bare loop, compiled",
        loop="bare",
        words=("compile=true",),
        more=True,
    ),
    Contender(name="Lightning", loop="lightning", home="lightning", goals=("lenet5",)),
    Contender(
        name="Keras, TensorFlow graph",
        loop="keras",
        home="keras",
        words=("jit=false",),
        environ=TENSORFLOW,
        goals=("resnet20",),
    ),
    Contender(
        name="Keras, TensorFlow graph, 20 steps a call",
        loop="keras",
        home="keras",
        words=("jit=false", "together=20"),
        environ=TENSORFLOW,
        setups=("lenet5",),
        goals=("lenet5",),
    ),
    Contender(
        name="Keras, TensorFlow with XLA",
        loop="keras",
        home="keras",
        words=("jit=true",),
        environ=TENSORFLOW,
        more=True,
    ),
    Contender(
        name="Keras, JAX",
        loop="keras",
        home="jax",
        words=("jit=true",),
        environ=JAX,
        more=True,
    ),
    Contender(name="JAX", loop="jax", home="jax", setups=("lenet5", "resnet20"), goals=("lenet5",)),
    Contender(  # its step of ResNet-20 took five times the processor time of the bare loop's
        name="JAX, MobileNetV2", loop="jax", home="jax", setups=("mobilenet_v2",), more=True
    ),
    Contender(
        name="JAX, 20 steps a call",
        loop="jax",
        home="jax",
        words=("together=20",),
        setups=("lenet5",),
        more=True,
    ),
    Contender(
        name="Netwright, as it comes",
        loop="netwright",
        goals=GOALS,
    ),
    Contender(
        name="Netwright, recipe mnist-lenet5 in 5 epochs",
        loop="netwright",
        words=(
            "steps=2300",
            "batch=128",
            "sched=one-cycle",
            "optim.lr=0.1",
            "optim.nesterov=true",
            "optim.wd=0.0005",
            "aug.shift=2",
            "loss.smoothing=0.05",
            "run.ema=0.99",
            "run.select=last",
        ),
        setups=(),
        goals=("lenet5",),
    ),
    Contender(  # what `auto` finds in a run of a minute or more, which these are too short for
        name="Netwright, channels last",
        loop="netwright",
        words=("run.channels_last=true",),
        setups=("resnet20", "mobilenet_v2"),
    ),
    Contender(
        name="Netwright, compiled, channels last",
        loop="netwright",
        words=("run.channels_last=true", "run.compile=true"),
        setups=("resnet20", "mobilenet_v2"),
        more=True,
    ),
    Contender(name="bare loop, bf16", loop="bare", words=("precision=bf16",), bf16=True),
    Contender(
        name="bare loop, bf16, channels last",
        loop="bare",
        words=("precision=bf16", "channels_last=true"),
        bf16=True,
        more=True,
    ),
    Contender(
        name="Netwright, bf16, channels last",
        loop="netwright",
        words=("run.precision=bf16", "run.channels_last=true"),
        bf16=True,
        goals=("resnet20",),
    ),
)
