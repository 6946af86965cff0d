"""A trained network, ready for use: everything it needs is in its run folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import CheckpointError, DataError, SettingError
from netwright.data.preprocessing import Preprocessing
from netwright.records.run import Run, find_run
from netwright.tasks.architectures import recorded_architecture
from netwright.tasks.preparing import find_device, reproducible
from netwright.train.weights import read_weights


class Network:
    """The best weights of a run, with its preprocessing and class names.

        net = nw.load("latest")
        net.predict(["a.jpg"]).images[0].label

    `module` is the `torch.nn.Module` in evaluation mode; calling the network with an image
    batch (N, C, H, W), uint8 or float, preprocesses it and gives logits (N, num_classes).
    """

    def __init__(
        self,
        run: Run,
        module: nn.Module,
        *,
        classes: tuple[str, ...],
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> None:
        self.run = run
        self.module = module
        self.classes = classes
        self.preprocessing = preprocessing
        self.device = device

    def __call__(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self.module(self.preprocessing(images.to(self.device)))
        return logits

    def predict(self, paths: str | Path | Iterable[str | Path], *, top: int = 3) -> Any:
        """Class names and probabilities for image files and folders: a `Predictions`."""
        from netwright.tasks.using import predict_with

        return predict_with(self, paths, top=top)

    def evaluate(self, data: str | None = None, *, split: str | None = None) -> Any:
        """Loss and accuracy on the run's own data, or on `data`: an `Evaluation`."""
        from netwright.tasks.using import evaluate_with

        return evaluate_with(self, data=data, split=split)

    def __repr__(self) -> str:
        return (
            f"Network({self.run.model['architecture']['name']}, {len(self.classes)} classes, "
            f"from {self.run.path})"
        )


def load(run: str | Path, *, trust_code: bool = False, device: str = "auto") -> Network:
    """The network of a run folder (a path, `latest`, or a name under `runs/`).

    A network from `file.py:factory` runs the file it was made from while that is unchanged;
    the copy in the run folder runs only with `trust_code`. Raises `SettingError` when it is
    not to run, `CheckpointError` when the run has no weights that load.
    """
    found = find_run(str(run))
    facts = found.model
    try:
        classes = tuple(str(each) for each in facts["classes"])
        recorded = facts["architecture"]
        preprocessing = Preprocessing.from_json(facts["input"])
    except (KeyError, TypeError) as error:
        raise DataError(
            "{path} holds no description of a network: {reason} is missing.",
            hint="Expected a run folder as netwright train writes it.",
            path=str(found.path / "model.json"),
            reason=str(error),
        ) from None
    place = find_device(device)
    architecture = recorded_architecture(recorded, found.path, trust_code=trust_code)
    with reproducible():
        module = architecture.build(
            num_classes=len(classes),
            in_channels=preprocessing.channels,
            input_size=preprocessing.size,
        )
    _fill(module, found)
    return Network(
        found,
        module.to(place).eval(),
        classes=classes,
        preprocessing=preprocessing,
        device=place,
    )


def _fill(module: nn.Module, run: Run) -> None:
    path = run.path / "best.safetensors"
    if not path.is_file():
        raise CheckpointError(
            "The run {run} has no weights yet ({status}).",
            hint="Go on with it:  netwright train --resume {run}",
            run=str(run.path),
            status=run.status or "unknown",
        )
    try:
        module.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise SettingError(
            "The weights in {path} do not fit the network {name}: {reason}",
            path=str(path),
            name=run.model["architecture"]["name"],
            reason=" ".join(str(error).split())[:500],
        ) from error
