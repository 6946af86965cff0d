"""Mixup and CutMix: who with whom, how much, and that training follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.augment import AUGMENTATIONS, Augmentation
from netwright.augment.pairs import Pairs, symmetric_beta
from netwright.core.errors import SettingError
from netwright.data.batches import Batch
from netwright.data.dataset import MemoryImages
from netwright.data.feed import Feed
from netwright.data.preprocessing import Preprocessing
from netwright.nn.losses import LOSSES
from netwright.tasks.mixed_labels import loss_of

PREPROCESSING = Preprocessing(channels=1, size=(6, 5), mean=(0.4,), std=(0.3,))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 2.0, 8.0])
def test_the_share_is_distributed_as_numpy_draws_beta(alpha: float) -> None:
    draws = np.array([Pairs(0, step, 2).beta(alpha, "share") for step in range(8000)])
    expected = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    levels = np.linspace(0.02, 0.98, 25)
    # The share of ours under each quantile of theirs: 4 standard errors of 8000 draws.
    under = [(draws <= each).mean() for each in np.quantile(expected, levels)]
    assert np.abs(np.array(under) - levels).max() < 0.023
    assert draws.mean() == pytest.approx(0.5, abs=0.03)


def test_the_share_is_finite_for_any_draw_and_any_alpha() -> None:
    edges = (0.0, 1e-300, 0.25, 0.5, 1 - 2**-53)
    values = [
        symmetric_beta(a, u, v) for a in (1e-6, 0.01, 1.0, 100.0) for u in edges for v in edges
    ]
    assert all(0 <= each <= 1 for each in values)


def test_mixup_is_the_blend_of_each_image_with_its_partner() -> None:
    images = torch.rand(9, 3, 4, 5)
    pairs = Pairs(1, 4, 9)
    mixed, share = AUGMENTATIONS.get("mixup").target(images, pairs, 0.4, 0.0)
    assert share == pairs.beta(0.4, "mixup")
    for n, other in enumerate(pairs.partner):
        assert torch.allclose(mixed[n], share * images[n] + (1 - share) * images[other], atol=1e-6)


def test_cutmix_puts_one_box_of_the_partner_in_and_shares_by_its_area() -> None:
    own = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 2, 10, 14)
    shares = []
    for step in range(300):
        pairs = Pairs(0, step, 8)
        mixed, share = AUGMENTATIONS.get("cutmix").target(own, pairs, 1.0, 0.0)
        n = int(np.flatnonzero(pairs.partner != np.arange(8))[0])
        box = mixed[n, 0] == float(pairs.partner[n])
        assert int(box.sum()) == int(box.any(0).sum()) * int(box.any(1).sum())
        assert share == pytest.approx(1 - box.float().mean().item())
        shares.append(share)
    assert min(shares) < 0.2
    assert max(shares) > 0.9


def test_partners_are_a_keyed_order_of_the_batch() -> None:
    assert sorted(Pairs(0, 3, 50).partner.tolist()) == list(range(50))
    assert Pairs(0, 3, 50).partner.tolist() != Pairs(0, 4, 50).partner.tolist()
    assert Pairs(0, 3, 50).partner.tolist() != Pairs(1, 3, 50).partner.tolist()


def test_with_both_on_each_batch_gets_one_of_them() -> None:
    images = torch.arange(12.0).view(12, 1, 1, 1).expand(12, 1, 8, 8)
    both = Augmentation({"mixup": 1.0, "cutmix": 1.0})
    boxes = 0
    for step in range(200):
        mixed = both.mix(images, 0, step).images
        # A box leaves whole numbers only; a blend of two images is one number all over.
        whole = bool((mixed == mixed.round()).all())
        assert whole or bool((mixed == mixed[:, :, :1, :1]).all())
        boxes += whole
    assert 70 < boxes < 130


class Streamed:
    """The images of a `MemoryImages`, read one by one."""

    in_memory = False

    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self.labels, self.shape = images.labels, images.shape

    def __len__(self) -> int:
        return len(self._images)

    def name(self, i: int) -> str:
        return str(i)

    def read(self, i: int) -> Tensor:
        return self._images.read(i)


def _images() -> MemoryImages:
    pool = torch.randint(0, 256, (23, 1, 6, 5), generator=torch.Generator().manual_seed(0)).byte()
    return MemoryImages(pool, np.arange(23) % 4)


def _feed(images: Any, values: dict[str, Any], workers: int = 0) -> Feed:
    augmentation = Augmentation(values, mean=PREPROCESSING.mean, std=PREPROCESSING.std)
    return Feed(
        images,
        batch=7,
        seed=5,
        preprocessing=PREPROCESSING,
        augmentation=augmentation,
        mixing=augmentation.mixing,
        workers=workers,
    )


def _bits(batches: list[Batch]) -> list[Any]:
    return [
        (
            each.images.numpy().tobytes(),
            each.target.tolist(),
            None if each.second is None else each.second.tolist(),
            each.share,
            each.index.tolist(),
        )
        for each in batches
    ]


EVERYTHING = {
    "flip": True, "rotate": 20, "crop_resize": 0.5, "brightness": 0.3, "contrast": 0.3,
    "noise": 0.05, "trivial": True, "blur": 1.0, "erase": 0.5, "mixup": 0.5, "cutmix": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 5])
def test_mixed_batches_are_the_same_bits_from_memory_and_from_any_number_of_workers(
    workers: int, start: int
) -> None:
    expected = _bits(list(_feed(_images(), EVERYTHING).iterate(0, 9)))
    made = _feed(Streamed(_images()), EVERYTHING, workers).iterate(start, 9)
    assert _bits(list(made)) == expected[start:]


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_a_batch_names_both_labels_the_larger_share_first(way: str) -> None:
    plain = list(_feed(_images(), {"flip": False}).iterate(0, 40))
    mixed = list(_feed(_images(), {way: 1.0}).iterate(0, 40))
    swapped = 0
    for k, (before, after) in enumerate(zip(plain, mixed, strict=True)):
        partner = Pairs(5, k, 7).partner
        own, other = before.target.tolist(), before.target[partner].tolist()
        assert after.second is not None
        found = after.target.tolist(), after.second.tolist()
        assert 0.5 <= after.share <= 1
        assert found in [(own, other), (other, own)]
        swapped += found != (own, other)
        if way == "mixup":
            first = before.images if found == (own, other) else before.images[partner]
            second = before.images[partner] if found == (own, other) else before.images
            assert torch.allclose(
                after.images, after.share * first + (1 - after.share) * second, atol=1e-5
            )
    assert 0 < swapped < 40


def test_without_mixing_a_batch_has_one_label() -> None:
    batch = next(_feed(_images(), {"flip": True}).iterate(0, 1))
    assert (batch.second, batch.share) == (None, 1.0)


def test_an_evaluation_is_never_mixed_nor_changed() -> None:
    changed, plain = (list(_feed(_images(), each).once()) for each in (EVERYTHING, {}))
    assert _bits(changed) == _bits(plain)


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_takes_both_labels_by_their_shares(name: str) -> None:
    entry = LOSSES.get(name)
    loss = entry.target(entry.options() if entry.options else None, [5, 5, 5, 5])
    logits = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    batch = Batch(torch.zeros(7), torch.tensor([0, 1, 2, 3, 0, 1, 2]), np.arange(7), 0)
    mixed = batch._replace(second=torch.tensor([1, 1, 0, 2, 3, 0, 1]), share=0.7)
    found = loss_of(loss, logits, mixed)
    expected = 0.7 * loss(logits, mixed.target) + 0.3 * loss(logits, mixed.second)
    assert torch.allclose(found, expected)
    found.backward()
    assert torch.isfinite(logits.grad).all()
    assert torch.equal(loss_of(loss, logits, batch), loss(logits, batch.target))


def test_for_cross_entropy_it_is_the_loss_of_the_blended_label() -> None:
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    target, second = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1, 1, 0, 2, 2])
    one_hot = torch.nn.functional.one_hot
    soft = 0.6 * one_hot(target, 3).float() + 0.4 * one_hot(second, 3).float()
    entropy = torch.nn.functional.cross_entropy
    batch = Batch(torch.zeros(5), target, np.arange(5), 0)._replace(second=second, share=0.6)
    assert torch.allclose(loss_of(entropy, logits, batch), entropy(logits, soft))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_alpha_nought_is_off_and_what_is_no_alpha_is_refused(name: str) -> None:
    assert Augmentation({name: 0}).mixing is None
    assert not Augmentation({name: 0.0})
    assert Augmentation({name: 0.2}).describe() == f"{name} 0.2"
    for bad in (-0.1, 101, float("inf"), True):
        with pytest.raises(SettingError, match=rf"aug\.{name}: .* at least 0, at most 100"):
            Augmentation({name: bad})
