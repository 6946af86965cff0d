"""A trained network, ready for use: everything it needs is in its run folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.core.errors import CheckpointError, SettingError
from netwright.core.languages import Phrase
from netwright.data.preprocessing import Preprocessing
from netwright.records.run import Run, find_run
from netwright.records.seeds import answering
from netwright.tasks.architectures import (
    Architecture,
    recorded_architecture,
    recorded_classes,
    recorded_preprocessing,
)
from netwright.tasks.computing import find_device, reproducible
from netwright.train.weights import read_weights

if TYPE_CHECKING:
    from netwright.tasks.exporting import Exported


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

    def filters(self, layer: str) -> Any:
        """The filters of a convolution, by its name in `module`: a `LayerPicture` with `.values`
        (out_channels, in_channels / groups, h, w), `.save("filters.png")`."""
        from netwright.tasks.layer_pictures import picture_filters

        return picture_filters(self.module, layer)

    def feature_maps(self, image: Any, layer: str, *, call: int = 0) -> Any:
        """What a layer, by its name in `module`, makes of one image (a file, or an array of the
        network's (C, H, W)): a `LayerPicture` with `.values` and `.save("maps.png")`."""
        from netwright.tasks.layer_pictures import picture_feature_maps, read_one

        seen = self.preprocessing(read_one(image, self.preprocessing).to(self.device))
        return picture_feature_maps(self.module, seen, layer, call=call)

    def export(
        self,
        path: str | Path,
        *,
        format: str | None = None,  # noqa: A002
        images: Sequence[str | Path] = (),
        overwrite: bool = False,
    ) -> Exported:
        """Write the network with its preprocessing inside to `path`, checked on real images.

        The ending says the format: `.onnx`, `.pt2` (torch.export) or `.safetensors`; `format`
        does for other endings. The check runs on the run's validation images, else on images
        kept in the run, or on `images`, which are files and folders of them. The result says
        how near the file is to the network (`.parity`), its `.path`, and all of it in
        `.to_json()`. Raises `CheckFailedError` when the two differ; nothing is written then.

            nw.load("latest").export("digits.onnx").parity.max_abs_logits
        """
        from netwright.tasks.exporting import export_with

        return export_with(self, path, format=format, images=images, overwrite=overwrite)

    def __repr__(self) -> str:
        return (
            f"Network({self.run.model['architecture']['name']}, {len(self.classes)} classes, "
            f"from {self.run.path})"
        )


def load(run: str | Path, *, trust_code: bool = False, device: str = "auto") -> Network:
    """The network of a run folder (a path, `latest`, or a name under `runs/`); of a run over
    several seeds that of the median seed.

    A network from `file.py:factory` runs the file it was made from while that is unchanged;
    the copy in the run folder runs only with `trust_code`. Raises `SettingError` when it is
    not to run, `CheckpointError` when the run has no weights that load.
    """
    found = answering(find_run(str(run)))
    classes, preprocessing = recorded_classes(found), recorded_preprocessing(found)
    place = find_device(device)
    architecture = recorded_architecture(found, trust_code=trust_code)
    weights = _weights(found)
    shape = (len(classes), preprocessing)
    if architecture.registered:  # a lie about the size is found before memory is taken
        with torch.device("meta"):
            _refuse_unfit(_build(architecture, *shape), weights, found)
    with reproducible():
        module = _build(architecture, *shape)
    _refuse_unfit(module, weights, found)
    module.load_state_dict(weights)
    return Network(
        found,
        module.to(place).eval(),
        classes=classes,
        preprocessing=preprocessing,
        device=place,
    )


def _build(architecture: Architecture, num_classes: int, input: Preprocessing) -> nn.Module:  # noqa: A002
    return architecture.build(
        num_classes=num_classes, in_channels=input.channels, input_size=input.size
    )


def _weights(run: Run) -> dict[str, Tensor]:
    path = run.path / "best.safetensors"
    if not path.is_file():
        diverged = run.status == "diverged"
        raise CheckpointError(
            "The run {run} has no weights to use ({status}).",
            hint="Start a new run with a smaller optim.lr."
            if diverged
            else "Go on with it:  netwright train --resume {run}",
            run=str(run.path),
            status=run.status,
        )
    return read_weights(path)


def _refuse_unfit(module: nn.Module, weights: dict[str, Tensor], run: Run) -> None:
    wanted = {name: tuple(each.shape) for name, each in module.state_dict().items()}
    given = {name: tuple(each.shape) for name, each in weights.items()}
    differing = [name for name in {**wanted, **given} if wanted.get(name) != given.get(name)]
    if differing:
        name = differing[0]
        raise SettingError(
            "The weights in {path} do not fit the network: {count} tensors differ, the first is "
            "{name}: {given} in the file, {wanted} in the network.",
            path=str(run.path / "best.safetensors"),
            count=len(differing),
            name=name,
            given=given.get(name, Phrase("nothing")),
            wanted=wanted.get(name, Phrase("nothing")),
        )
