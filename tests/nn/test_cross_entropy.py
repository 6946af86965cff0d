import math

import numpy as np
import pytest
import torch

from netwright.core.config import build
from netwright.core.errors import SettingError
from netwright.nn import by_hand
from netwright.nn.losses._class_weights import balanced
from netwright.nn.losses.cross_entropy import CrossEntropyOptions, cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", ["none", (1.0, 0.5, 2.0)])
def test_it_is_the_one_by_hand_gradient_included(
    smoothing: float, weights: str | tuple[float, ...]
) -> None:
    logits = torch.randn(6, 3, requires_grad=True)
    target = torch.tensor([0, 1, 2, 2, 1, 0])
    loss = cross_entropy(CrossEntropyOptions(smoothing=smoothing, class_weights=weights), [2, 2, 2])
    value = loss(logits, target)
    value.backward()
    expected, backward = by_hand.cross_entropy(
        logits.detach().double().numpy(),
        target.numpy(),
        weight=None if weights == "none" else np.array(weights),
        label_smoothing=smoothing,
    )
    assert value.item() == pytest.approx(float(expected), abs=1e-5)
    gradient = torch.from_numpy(backward(np.array(1.0))[0])
    torch.testing.assert_close(logits.grad, gradient.float(), rtol=1e-5, atol=1e-6)


def test_its_gradient_is_softmax_minus_target() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]], requires_grad=True)
    cross_entropy(CrossEntropyOptions(), [1, 1])(logits, torch.tensor([0])).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[0.25 - 1.0, 0.75]]))


def test_a_confident_answer_costs_more_with_smoothing() -> None:
    sure, target = torch.tensor([[20.0, 0.0]]), torch.tensor([0])
    plain = cross_entropy(CrossEntropyOptions(), [1, 1])(sure, target)
    smooth = cross_entropy(CrossEntropyOptions(smoothing=0.1), [1, 1])(sure, target)
    assert float(plain) == pytest.approx(0.0, abs=1e-6)
    assert float(smooth) == pytest.approx(0.05 * 20, abs=1e-4)


def test_balanced_weights_are_n_over_c_times_n_c() -> None:
    assert balanced([60, 30, 10]) == [100 / 180, 100 / 90, 100 / 30]


def test_balanced_classes_count_the_same_in_all() -> None:
    counts = [60, 30, 10]
    shares = [n * w for n, w in zip(counts, balanced(counts), strict=True)]
    assert shares == pytest.approx([100 / 3] * 3)


def test_a_class_without_a_sample_gets_1_and_changes_no_other() -> None:
    assert balanced([60, 0, 30, 10]) == [100 / 180, 1.0, 100 / 90, 100 / 30]
    assert balanced([0, 0]) == [1.0, 1.0]


@pytest.mark.parametrize("written", ["none", None])
def test_none_means_no_weights_however_it_is_written(written: str | None) -> None:
    made = build(CrossEntropyOptions, {"class_weights": written}, prefix="loss.")
    assert cross_entropy(made, [9, 1]).weights is None


def test_a_list_of_another_length_is_refused_with_both_numbers() -> None:
    options = CrossEntropyOptions(class_weights=(1.0, 2.0))
    with pytest.raises(SettingError, match=r"loss\.class_weights: 2 weights for 3 classes"):
        cross_entropy(options, [5, 5, 5])


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.0, 0.0), (1.0, float("nan"))])
def test_weights_that_are_no_weights_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match=r"loss\.class_weights: \[.* is not allowed"):
        cross_entropy(CrossEntropyOptions(class_weights=weights), [5, 5])


def test_a_word_that_is_no_choice_is_refused() -> None:
    with pytest.raises(SettingError, match=r"loss\.class_weights: heavy is not allowed"):
        build(CrossEntropyOptions, {"class_weights": "heavy"}, prefix="loss.")
