"""Real images of a run, as they are stored: what an exported file is checked on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from netwright.core.errors import DataError, NetwrightError, SettingError
from netwright.core.events import Noted
from netwright.data.dataset import Images, MemoryImages, UnreadableImageError
from netwright.data.given import open_images
from netwright.data.opening import open_dataset
from netwright.data.shaping import Shape, shaped
from netwright.records.arrays import Array
from netwright.records.run import Run
from netwright.tasks.architectures import refuse_foreign_data_code
from netwright.tasks.loading import Network
from netwright.tasks.settings import read_config


@dataclass(frozen=True, kw_only=True)
class RealImages:
    """`images` (N, C, H, W), uint8 or float32 as the data store them, and where they are from.

    `source` is `validation`, `given` or `kept in the run`.
    """

    images: Tensor
    source: str
    note: Noted | None = None


def real_images(
    network: Network, given: Sequence[str | Path], *, count: int, trust_code: bool = False
) -> RealImages:
    """At most `count` images: those `given`, else of the validation split, else kept in the run.

    Raises `DataError` when none of those given can be read, `SettingError` when there are none.
    """
    shape = network.preprocessing.shape
    if given:
        return RealImages(images=_given(given, shape, count), source="given")
    try:
        images = _validation(network, count, trust_code)
        return RealImages(images=images, source="validation")
    except NetwrightError as error:
        kept = _kept(network.run, shape, count)
        note = Noted(
            word="NOTE",
            template="The validation images cannot be opened here, images kept in the run are "
            "taken: {reason}",
            values={"reason": error.phrase},
        )
        if kept is None:
            raise SettingError(
                "There is no real image to check the file on: {reason}",
                hint="Name some: --images PATH",
                reason=error.phrase,
            ) from error
        return RealImages(images=kept, source="kept in the run", note=note)


def _given(paths: Sequence[str | Path], shape: Shape, count: int) -> Tensor:
    found: list[Tensor] = []
    tried, reason = 0, ""
    given = [paths] if isinstance(paths, str | Path) else paths  # one alone, in Python
    if not isinstance(given, Sequence) or not all(isinstance(each, str | Path) for each in given):
        raise SettingError("images={value}: expected files or folders.", value=repr(paths))
    for item in open_images([Path(each) for each in given], shape=shape):
        tried += 1
        if item.image is None:
            reason = reason or item.error
        else:
            found.append(item.image)
        if len(found) == count:
            break
    if not found:
        raise DataError(
            "None of the {count} images could be read.", hint="{reason}", count=tried, reason=reason
        )
    return torch.stack(found)


def _validation(network: Network, count: int, trust_code: bool) -> Tensor:
    recipe = read_config(str(network.run.path / "config.yaml")).recipe
    refuse_foreign_data_code(network.run, recipe.data.name, trust_code=trust_code)
    dataset = open_dataset(
        recipe.data,
        seed=recipe.general.seed,
        classes=network.classes,
        shape=network.preprocessing.shape,
    )
    images = dataset.splits.get("val")
    if images is None or not len(images):
        raise DataError("{name} has no validation images.", name=dataset.name)
    return _read(images, count)


def _read(images: Images, count: int) -> Tensor:
    """`count` images spread over the whole split, for a split may be sorted by class."""
    rows = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    found: list[Tensor] = []
    for row in rows.tolist():
        try:
            found.append(images.read(row))
        except UnreadableImageError as error:
            failed = error
    if not found:
        raise failed
    stacked = torch.stack(found)
    return stacked if stacked.dtype == torch.uint8 else stacked.to(torch.float32)


def _kept(run: Run, shape: Shape, count: int) -> Tensor | None:
    """The mistakes a run keeps for its report, else its first batch: small pictures, brought to
    the size of the run's images where they are smaller."""
    for arrays, names in (
        (run.evidence("val"), ("worst_images", "pair_images")),
        (run.evidence("test"), ("worst_images", "pair_images")),
        (run.first_batch(), ("images",)),
    ):
        pictures = [_pictures(arrays[name]) for name in names if arrays and name in arrays]
        parts = [each for each in pictures if each is not None and len(each)]
        if parts and shape[0] in (1, 3):
            pool = parts[0][:count]
            pool = pool[:, : shape[0]]  # a grey picture is kept three times
            images = MemoryImages(pool.contiguous(), np.zeros(len(pool), np.int64))
            fitted = shaped(images, shape)
            return torch.stack([fitted.read(i) for i in range(len(fitted))])
    return None


def _pictures(array: Array) -> Tensor | None:
    """(N, h, w, 3) bytes as (N, 3, h, w); None for anything else."""
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape:
        return None
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
