"""safetensors: the weights alone, with the facts that rebuild the network around them."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from netwright.core.atomic import disk
from netwright.export.formats import FORMATS, Exportable, Runner
from netwright.export.graph import SelfContained


def open_weights(path: Path, given: Exportable) -> Runner:
    """The weights in the file, in a copy of the network whose own were wiped out."""
    network = copy.deepcopy(given.network)
    with torch.no_grad():
        for each in network.state_dict().values():
            each.zero_()
    network.load_state_dict(dict(given.unpack(path.read_bytes())))
    module = SelfContained(network, given.preprocessing, given.dtype).eval()

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            logits, probabilities = module(images)
        return logits, probabilities

    return run


def use_weights(path: str, image: str, array: str) -> tuple[str, ...]:
    """Lines of Python that read a file with safetensors alone; it takes no image."""
    return (
        "import json, safetensors",
        f'file = safetensors.safe_open({path}, "pt")',
        'facts = {name: json.loads(file.metadata()[name]) for name in ("architecture", "input")}',
        "weights = {name: file.get_tensor(name) for name in file.keys()}",
        'print(facts["architecture"], facts["input"], len(weights))',
    )


@FORMATS.register(
    "safetensors",
    suffix=".safetensors",
    opens=open_weights,
    packages=("safetensors",),
    runtime="torch",
    graph=False,
    use=use_weights,
)
def write_weights(given: Exportable, path: Path) -> None:
    """Weights alone, in safetensors: for code that builds the network itself.

    The metadata say `format=netwright/1`, the architecture with its options, the input with its
    mean and standard deviation, and the classes; names that share a tensor are in `ties`, for
    safetensors stores it once. A hash over all of it is inside.
    """
    disk.write(path, *given.pack(given.facts))
