"""The numbers of an evaluation, against a loop over images that anyone can check."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from netwright.data.batches import Batch
from netwright.data.dataset import UnreadableImageError
from netwright.tasks.evaluation import Examination, arrays, examine, score, thumbnail


def batches(logits, target, size):
    for start in range(0, len(target), size):
        part = slice(start, start + size)
        yield Batch(logits[part], target[part], np.arange(len(target))[part], 0, ())


@pytest.mark.parametrize("size", [1, 7, 40])
def test_scores_are_means_over_images_whatever_the_batches(size):
    generator = torch.Generator().manual_seed(3)
    logits, target = torch.randn(40, 12, generator=generator), torch.arange(40) % 12
    found = score(lambda x: x, batches(logits, target, size), num_classes=12)
    loss = right = right5 = 0.0
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        top = max(row)
        loss += math.log(sum(math.exp(v - top) for v in row)) + top - row[label]
        order = sorted(range(12), key=lambda i: -row[i])
        right += order[0] == label
        right5 += label in order[:5]
    assert found["loss"] == pytest.approx(loss / 40, abs=1e-7)
    assert found["acc1"] == right / 40
    assert found["acc5"] == right5 / 40


def test_a_confusion_matrix_has_true_classes_in_rows():
    found = _examined(target=[0, 0, 1, 1], pred=[0, 1, 1, 1], loss=[0.1, 3.0, 0.2, 0.1])
    assert found.confusion.tolist() == [[1, 1], [0, 2]]
    assert found.metrics["acc1"] == 0.75


def test_the_worst_mistakes_come_first_and_right_answers_never():
    found = _examined(target=[0, 0, 1, 1], pred=[1, 1, 0, 1], loss=[1.0, 3.0, 2.0, 9.0])
    assert found.worst().tolist() == [1, 2, 0]


def test_pairs_are_ordered_by_how_often_they_are_confused():
    found = _examined(target=[0, 1, 1, 0], pred=[1, 0, 0, 0], loss=[1.0, 2.0, 3.0, 0.0])
    assert found.pairs().tolist() == [2, 1, 0]


def test_examining_agrees_with_scoring():
    logits, target = torch.eye(4) * 5, torch.tensor([0, 1, 2, 0])
    found = examine(lambda x: x, batches(logits, target, 3), num_classes=4)
    assert found.pred.tolist() == [0, 1, 2, 3]
    assert found.index.tolist() == [0, 1, 2, 3]
    assert found.metrics["loss"] == pytest.approx(
        score(lambda x: x, batches(logits, target, 4), num_classes=4)["loss"]
    )


class Gone:
    """Four images of one grey each, of which those in `gone` cannot be read."""

    def __init__(self, *gone):
        self.gone = gone

    def read(self, i):
        if i in self.gone:
            raise UnreadableImageError("Cannot read the image {name}.", name=self.name(i))
        return torch.full((1, 2, 2), 10 * i, dtype=torch.uint8)

    def name(self, i):
        return f"{i}.png"


def test_mistakes_are_named_by_their_own_image_where_one_before_was_left_out():
    """Image 0 cannot be read: the second row of the evaluation is image 2."""
    found = _examined(target=[0, 0, 1], pred=[0, 1, 0], loss=[0.1, 3.0, 2.0], index=[1, 2, 3])
    content = arrays(found, Gone(0), picture=thumbnail)
    assert content["worst_name"].tolist() == ["2.png", "3.png"]
    assert content["worst_images"][:, 0, 0, 0].tolist() == [20, 30]


def test_an_image_that_has_gone_since_is_not_shown_and_the_others_are():
    found = _examined(target=[0, 0, 1, 1], pred=[1, 1, 0, 0], loss=[1.0, 3.0, 2.0, 0.5])
    content = arrays(found, Gone(1, 3), picture=thumbnail)
    assert content["worst_name"].tolist() == ["2.png", "0.png"]
    assert content["worst_loss"].tolist() == [2.0, 1.0]
    assert len(content["pair_images"]) == len(content["pair_true"]) == 2
    assert content["count"] == 4
    empty = arrays(found, Gone(0, 1, 2, 3), picture=thumbnail)
    assert (len(empty["worst_images"]), len(empty["worst_name"])) == (0, 0)


def test_thumbnails_keep_small_images_and_shrink_large_ones():
    grey = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3) * 50
    assert (thumbnail(grey)[..., 0] == grey[0].numpy()).all()
    assert thumbnail(torch.rand(3, 100, 200)).shape == (32, 64, 3)


def _examined(*, target, pred, loss, index=None):
    count = len(target)
    return Examination(
        index=np.arange(count) if index is None else np.array(index),
        target=np.array(target),
        pred=np.array(pred),
        probability=np.full(count, 0.5),
        loss=np.array(loss),
        num_classes=2,
    )
