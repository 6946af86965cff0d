"""ONNX: one file that ONNX Runtime and many other programs run, in any language."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright.export.formats import FORMATS, Exportable, Runner
from netwright.export.graph import BATCH, INPUT, OUTPUTS, quiet, recorded, unexportable

OPSET = 20
"""Read by ONNX Runtime 1.17 and newer, and what torch translates to without a conversion."""

# The official builds of ONNX Runtime 1.29 and newer send usage events to their maker and leave an
# identifier in the home folder as soon as they are imported, and nothing said later stops that.
# Who wants them sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

LARGEST_INSIDE = 1536 * 2**20
"""Bytes of weights up to which they stay in the file itself: protobuf ends at 2 GB, and torch
leaves room for the rest."""


def open_onnx(path: Path, given: Exportable) -> Runner:
    """The file in ONNX Runtime, on one thread of the CPU."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        logits, probabilities = session.run(list(OUTPUTS), {INPUT: images.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(probabilities)

    return run


def use_onnx(path: str, image: str, array: str) -> tuple[str, ...]:
    """Lines of Python that use a file with ONNX Runtime alone."""
    return (
        "import json, numpy, onnxruntime",
        "from PIL import Image, ImageOps",
        f"session = onnxruntime.InferenceSession({path})",
        'classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])',
        f"image = {image}",
        f'logits, probabilities = session.run(None, {{"{INPUT}": {array}}})',
        "print(classes[probabilities[0].argmax()])",
    )


@FORMATS.register(
    "onnx",
    suffix=".onnx",
    opens=open_onnx,
    packages=("onnx", "onnxscript", "onnxruntime"),
    runtime="onnxruntime",
    graph=True,
    opset=OPSET,
    use=use_onnx,
)
def write_onnx(given: Exportable, path: Path) -> None:
    """ONNX: run by ONNX Runtime and many other programs; needs nothing of Netwright.

    The graph comes from torch's `torch.export` road (`dynamo=True`), not from TorchScript, and
    passes `onnx.checker`. The facts of the run are its `metadata_props`. Weights stay in the
    file; above 1.5 GB they lie beside it in `FILE.data`.
    """
    import onnx

    program = recorded(given)
    with torch.no_grad(), unexportable("torch.onnx"), quiet():
        translated = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            verbose=False,
        )
        assert translated is not None
        model = translated.model
        _name_the_batch(model.graph)
        _forget_this_computer(model.graph)
        model.metadata_props.clear()
        model.metadata_props.update(given.facts)
    weights = sum(each.numel() * each.element_size() for each in program.state_dict.values())
    translated.save(path, external_data=weights > LARGEST_INSIDE)
    onnx.checker.check_model(str(path), full_check=True)


def _name_the_batch(graph: Any) -> None:
    """Torch numbers its symbols (`s34`): the one there is becomes `batch`, also in products."""
    symbol = re.compile(rf"\b{re.escape(str(graph.inputs[0].shape[0]))}\b")
    for value in _values(graph):
        for axis, size in enumerate(value.shape or ()):
            if not isinstance(size, int):
                value.shape[axis] = symbol.sub(BATCH, str(size))


def _forget_this_computer(graph: Any) -> None:
    """Torch notes with each node the lines of source it came from, with their paths."""
    for node in graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in _values(graph):
        value.metadata_props.clear()


def _values(graph: Any) -> list[Any]:
    made = [value for node in graph.all_nodes() for value in node.outputs]
    return [*graph.inputs, *graph.initializers.values(), *made]
