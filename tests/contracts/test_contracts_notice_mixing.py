"""The contract of augmentations, held against leaves that mix badly or break odd shapes."""

from types import MappingProxyType
from typing import Any

import pytest
from torch import Tensor

from netwright.augment.blur import BlurOptions
from netwright.augment.mixup import MixupOptions
from netwright.core.registry import Entry
from netwright.testing.contracts import check_augmentation


def _entry(name: str, target: Any, options: type, **facts: Any) -> Entry[Any]:
    return Entry(name=name, target=target, options=options, facts=MappingProxyType(facts))


def _mixing(target: Any) -> Entry[Any]:
    return _entry("mixup", target, MixupOptions, order=1, pairs=True)


def test_a_mixture_that_forgets_its_key_is_noticed() -> None:
    def mixup(images: Tensor, pairs: Any, amount: Any, fill: Any) -> tuple[Tensor, float]:
        return images.clone(), 0.5

    with pytest.raises(AssertionError, match="mixup is the same for every seed"):
        check_augmentation(_mixing(mixup))


def test_a_mixture_that_writes_into_its_batch_is_noticed() -> None:
    def mixup(images: Tensor, pairs: Any, amount: Any, fill: Any) -> tuple[Tensor, float]:
        images[0] = images[int(pairs.partner[0])] + 1
        return images, 0.5

    with pytest.raises(AssertionError, match="mixup writes into the batch it is given"):
        check_augmentation(_mixing(mixup))


def test_a_share_above_one_is_noticed() -> None:
    def mixup(images: Tensor, pairs: Any, amount: Any, fill: Any) -> tuple[Tensor, float]:
        return images[pairs.partner.tolist()], 1.0 + pairs.uniform("share")

    with pytest.raises(AssertionError, match=r"mixup gives a share outside \[0, 1\]"):
        check_augmentation(_mixing(mixup))


def test_an_augmentation_that_changes_the_shape_of_some_images_is_noticed() -> None:
    def blur(images: Tensor, keys: Any, amount: Any, fill: Any) -> Tensor:
        shift = keys.integers(0, 50, "blur")
        moved = [image + int(by) for image, by in zip(images, shift, strict=True)]
        out = images.clone()
        for n, image in enumerate(moved):
            out[n] = image
        return out if images.shape[1] == 3 else out[:, :1]

    with pytest.raises(AssertionError, match=r"blur makes \(3, 1, 12, 6\)"):
        check_augmentation(_entry("blur", blur, BlurOptions, order=1))
