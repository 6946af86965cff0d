"""The network with its preprocessing inside, as a module and as a graph that torch has recorded.

Input `images`: (N, C, H, W) as they are stored, N any number, C, H and W those of the run.
Outputs: `logits` and `probabilities`, each (N, num_classes).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule

from netwright.core.errors import NetwrightError, SettingError
from netwright.data.preprocessing import Preprocessing
from netwright.export.formats import Exportable

INPUT = "images"
OUTPUTS = ("logits", "probabilities")
BATCH = "batch"


class SelfContained(nn.Module):
    """`network` behind its preprocessing: softmax(network((pixels / unit - mean) / std)).

    The pixels are bytes (`unit` 255) or floats as the data gave them (`unit` 1). It computes
    what `Preprocessing` does, to the bit, from constants that a graph can hold.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.network = network
        unit = 255.0 if dtype == torch.uint8 else 1.0
        scale = [1 / (unit * std) for std in preprocessing.std]
        shift = [-m / s for m, s in zip(preprocessing.mean, preprocessing.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale).view(-1, 1, 1))
        self.register_buffer("shift", torch.tensor(shift).view(-1, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits: Tensor = self.network(images.to(torch.float32) * self.scale + self.shift)
        return logits, logits.softmax(1)


def self_contained(given: Exportable) -> SelfContained:
    """The module that every format is to agree with."""
    return SelfContained(given.network, given.preprocessing, given.dtype).eval()


def recorded(given: Exportable) -> ExportedProgram:
    """The graph of `self_contained(given)` by `torch.export`, its batch dynamic.

    Raises `SettingError` with torch's own reason and the line of the network's code, when the
    network cannot be recorded: a branch on values, a loop over them, a fixed batch.
    """
    # Two images: torch takes a dimension of 1 for a constant.
    example = torch.zeros(2, *given.preprocessing.shape, dtype=given.dtype)
    with torch.no_grad(), unexportable("torch.export"), quiet():
        program = torch.export.export(
            self_contained(given), (example,), dynamic_shapes={INPUT: {0: Dim(BATCH, min=1)}}
        )
    for part in program.graph_module.modules():
        if isinstance(part, GraphModule):
            for node in part.graph.nodes:
                node.meta.pop("stack_trace", None)  # paths and lines of this computer
    _drop_idle_weights(program)
    return program


def _drop_idle_weights(program: ExportedProgram) -> None:
    """Take out the weights that no operation reads: auxiliary heads, counters of batches. Torch
    would store them all the same; those of GoogLeNet are half of it."""
    graph, signature = program.graph, program.graph_signature
    idle = {node.name for node in graph.nodes if node.op == "placeholder" and not node.users}
    kept = []
    for spec in signature.input_specs:
        weight = spec.kind in (InputKind.PARAMETER, InputKind.BUFFER)
        if weight and spec.target is not None and spec.arg.name in idle:
            program.state_dict.pop(spec.target, None)
        else:
            kept.append(spec)
    stays = {spec.arg.name for spec in kept}
    for node in [each for each in graph.nodes if each.name in idle and each.name not in stays]:
        graph.erase_node(node)
    signature.input_specs[:] = kept
    program.graph_module.recompile()


@contextlib.contextmanager
def unexportable(step: str) -> Iterator[None]:
    """Turn what torch raises over a network it cannot export into a `SettingError`."""
    try:
        yield
    except (NetwrightError, MemoryError):
        raise
    except Exception as error:  # a network's own forward runs here, and can raise anything
        raise SettingError(
            "The network cannot be exported: {step} says: {reason}{place}",
            hint="Everything in its forward must be tensor operations: no branch or loop that "
            "depends on values, no batch size written as a number."
            if step == "torch.export"
            else "A file .pt2 holds the network in torch's own operations, without translation.",
            step=step,
            reason=_reason(error),
            place=_place(error),
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings, logs and prints of torch's exporters off the screen.

    They speak of packages that are not needed (torchvision) and of their own internals; what
    they fail for, they raise as well.
    """
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        sink = io.StringIO()
        with (
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of what really failed: exporters wrap it in advice on how to report it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _place(error: BaseException) -> str:
    """` (net.py:12)`: the last line outside torch on the way to the error, "" if it is ours."""
    found = ""
    chain: BaseException | None = error
    while chain is not None and not found:
        trace = chain.__traceback__
        while trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename)
            if not file.is_relative_to(_TORCH) and not file.is_relative_to(_HERE):
                found = f" ({file}:{trace.tb_lineno})" if file.is_file() else found
            trace = trace.tb_next
        chain = chain.__cause__
    return found


_TORCH = Path(torch.__file__).parent
_HERE = Path(__file__).parent.parent
