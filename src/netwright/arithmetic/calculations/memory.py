"""Memory of weights, gradients and the state of the optimizer."""

from __future__ import annotations

from typing import Literal

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.training_state import BYTES, STATES, state_bytes
from netwright.arithmetic.working import Fact, Rows, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc memory params=11689512 optimizer=adam"


@config
class MemoryOptions:
    params: int | None = setting(None, ge=1, le=10**15, help="parameters of the network")
    optimizer: Literal["none", "sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw"] = setting(
        "adam", help="what trains it; none: it is only used"
    )
    dtype: Literal["float64", "float32", "float16", "bfloat16", "int8"] = setting(
        "float32", help="type of the weights"
    )
    trainable: int | None = setting(None, ge=0, le=10**15, help="those that learn; all of them")
    master: bool = setting(False, help="whether a float32 copy of the weights is kept")


@CALCULATIONS.register("memory", options=MemoryOptions, example=EXAMPLE, required=("params",))
def memory(options: MemoryOptions) -> Worked:
    """Memory of weights, gradients and optimizer state."""
    if options.params is None:
        raise missing_settings(["params"], EXAMPLE)
    if options.dtype == "int8" and options.optimizer != "none":
        raise SettingError("Weights in int8 are used, not trained.", hint="Add optimizer=none.")
    learns = options.params if options.trainable is None else options.trainable
    if learns > options.params:
        raise SettingError(
            "trainable={trainable} is more than params={params}.",
            trainable=learns,
            params=options.params,
        )
    found = state_bytes(
        options.params,
        optimizer=options.optimizer,
        dtype=options.dtype,
        trainable=options.trainable,
        master=options.master,
    )
    parts = (
        ("weights", Phrase("weights"), found.weights),
        ("gradients", Phrase("gradients"), found.gradients),
        ("optimizer", Phrase("optimizer state"), found.optimizer),
        ("master", Phrase("float32 copy"), found.master),
        ("total", Phrase("together"), found.total),
    )
    kept = 0 if options.optimizer == "none" else learns
    state = 4 if options.master else BYTES[options.dtype]
    copy = " + t*4" if options.master else ""
    numbers = {"n": options.params, "b": BYTES[options.dtype], "t": kept, "c": state}
    formula = f"n*b + t*b + t*m*c{copy}"
    return Worked(
        facts=tuple(
            Fact(name=name, label=label, value=value, topic="memory", unit="bytes")
            for name, label, value in parts
            if name != "master" or options.master
        ),
        working=(line("bytes", formula, topic="memory", **numbers, m=STATES[options.optimizer]),),
        tables=(_compared(options),),
        notes=(
            Phrase(
                "Activations are not in it, nor what one operation needs while it runs: they "
                "depend on the input. The step of an optimizer may need a copy of the largest "
                "weight."
            ),
        ),
    )


def _compared(options: MemoryOptions) -> Rows:
    """The same for every optimizer, as times the weights."""
    assert options.params is not None
    rows = []
    for name in STATES:
        found = state_bytes(
            options.params,
            optimizer=name,
            dtype=options.dtype,
            trainable=options.trainable,
            master=options.master,
        )
        apart = found.total - found.gradients
        rows.append((name, found.total, found.total / found.weights, apart / found.weights))
    return Rows(
        name="optimizers",
        head=("optimizer", "bytes", "times the weights", "without gradients"),
        rows=tuple(rows),
        topic="memory",
    )
