"""Every loss against its definition, written out one number at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.core.errors import SettingError
from netwright.nn import by_hand
from netwright.nn.losses import LOSSES, Loss
from netwright.nn.losses.dice import DiceOptions, dice
from netwright.nn.losses.kl_div import divergence


def _made(name: str, counts: Sequence[int] = (2, 2, 2), **options: Any) -> Loss:
    entry = LOSSES.get(name)
    assert entry.options is not None
    return entry.target(entry.options(**options), counts)


def _softmax(row: Sequence[float]) -> list[float]:
    return by_hand.softmax(np.array([row]))[0][0].tolist()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _focal(row: list[float], t: int, *, gamma: float) -> float:
    p = _softmax(row)[t]
    return -((1 - p) ** gamma) * math.log(p)


def _numbers(distance: Callable[[float], float]) -> Callable[..., float]:
    def slow(row: list[float], t: int, *, on: str = "logits") -> float:
        x = _softmax(row) if on == "softmax" else row
        return _mean([distance(each - (c == t)) for c, each in enumerate(x)])

    return slow


def _huber(row: list[float], t: int, *, delta: float) -> float:
    def distance(d: float) -> float:
        return d * d / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2)

    return _numbers(distance)(row, t)


def _kl(row: list[float], t: int, *, smoothing: float, direction: str) -> float:
    p = _softmax(row)
    q = [(1 - smoothing) * (c == t) + smoothing / len(row) for c in range(len(row))]
    if direction == "reverse":
        p, q = q, p
    return sum(b * math.log(b / a) for a, b in zip(p, q, strict=True) if b > 0)


def _bce(row: list[float], t: int, *, smoothing: float, positive_weight: float) -> float:
    total = []
    for c, logit in enumerate(row):
        y = (c == t) * (1 - smoothing) + smoothing / 2
        s = 1 / (1 + math.exp(-logit))
        total.append(-(positive_weight * y * math.log(s) + (1 - y) * math.log(1 - s)))
    return _mean(total)


def _hinge(row: list[float], t: int, *, margin: float, squared: bool) -> float:
    short = [max(0.0, margin - row[t] + each) for c, each in enumerate(row) if c != t]
    return sum(each**2 if squared else each for each in short) / len(row)


def _dice(row: list[float], t: int, *, over: str, smooth: float, squared: bool) -> float:
    found = []
    for c, p in enumerate(_softmax(row)):
        y = float(c == t)
        found.append(1 - (2 * p * y + smooth) / ((p * p if squared else p) + y + smooth))
    return _mean(found)


CASES: list[tuple[str, Callable[..., float], dict[str, Any]]] = [
    *[("focal", _focal, {"gamma": gamma}) for gamma in (0.0, 0.5, 2.0)],
    *[("mse", _numbers(lambda d: d * d), {"on": on}) for on in ("logits", "softmax")],
    *[("l1", _numbers(abs), {"on": on}) for on in ("logits", "softmax")],
    *[("huber", _huber, {"delta": delta}) for delta in (0.1, 1.0)],
    ("kl_div", _kl, {"smoothing": 0.0, "direction": "forward"}),
    *[("kl_div", _kl, {"smoothing": 0.2, "direction": each}) for each in ("forward", "reverse")],
    ("bce_with_logits", _bce, {"smoothing": 0.0, "positive_weight": 1.0}),
    ("bce_with_logits", _bce, {"smoothing": 0.2, "positive_weight": 3.0}),
    *[("hinge", _hinge, {"margin": m, "squared": s}) for m in (1.0, 2.5) for s in (False, True)],
    *[
        ("dice", _dice, {"over": "sample", "smooth": e, "squared": s})
        for e in (1.0, 1e-3)
        for s in (False, True)
    ],
]


@pytest.mark.parametrize(("name", "slow", "options"), CASES)
def test_it_equals_its_definition(
    name: str, slow: Callable[..., float], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    logits, target = 2 * torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    rows = zip(logits.tolist(), target.tolist(), strict=True)
    expected = _mean([slow(row, t, **options) for row, t in rows])
    assert float(_made(name, **options)(logits, target)) == pytest.approx(expected, abs=1e-9)


PIXELWISE = ["focal", "mse", "l1", "huber", "kl_div", "bce_with_logits", "nll"]


@pytest.mark.parametrize("name", PIXELWISE)
def test_every_pixel_of_an_image_counts_as_a_sample(name: str) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    flat = logits.movedim(1, -1).reshape(-1, 3)
    loss = _made(name)
    torch.testing.assert_close(loss(logits, target), loss(flat, target.flatten()))


@pytest.mark.parametrize("name", ["focal", "nll"])
def test_without_anything_special_it_is_cross_entropy_weights_included(name: str) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(8, 3), torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])
    special = {"gamma": 0.0} if name == "focal" else {}
    for weights in ("none", "balanced", (0.5, 1.0, 4.0)):
        ours = _made(name, (4, 3, 1), class_weights=weights, **special)
        theirs = _made("cross_entropy", (4, 3, 1), class_weights=weights)
        torch.testing.assert_close(ours(logits, target), theirs(logits, target))


def test_focal_loss_of_an_easy_sample_is_a_hundredth_of_cross_entropy() -> None:
    # Lin et al. 2017, section 3.2: p = 0.9, gamma = 2
    logits, target = torch.tensor([[math.log(9.0), 0.0]]), torch.tensor([0])
    ratio = _made("cross_entropy")(logits, target) / _made("focal", gamma=2.0)(logits, target)
    assert float(ratio) == pytest.approx(100, rel=1e-4)


def test_focal_loss_below_gamma_1_has_a_gradient_where_the_answer_is_surely_right() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    _made("focal", gamma=0.5)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_kl_has_the_gradient_of_smoothed_cross_entropy_and_ends_at_zero() -> None:
    torch.manual_seed(0)
    target = torch.tensor([0, 1, 2, 1])
    gradients = []
    for name in ("kl_div", "cross_entropy"):
        logits = torch.arange(12.0).reshape(4, 3).sin().requires_grad_()
        _made(name, smoothing=0.2)(logits, target).backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(*gradients)
    perfect = torch.tensor([[0.9, 0.05, 0.05]]).log()
    assert float(_made("kl_div", smoothing=0.15)(perfect, torch.tensor([0]))) == pytest.approx(
        0, abs=1e-6
    )


def test_the_divergence_of_two_distributions_is_not_symmetric() -> None:
    p, q = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.25, 0.25, 0.5]])
    assert float(divergence(p, q.log())) == pytest.approx(math.log(2))
    assert float(divergence(q, p.log())) == math.inf


def test_reverse_without_smoothing_is_refused() -> None:
    with pytest.raises(SettingError, match=r"loss\.direction: reverse needs smoothing"):
        _made("kl_div", direction="reverse", smoothing=0.0)


def test_squared_error_on_softmax_has_no_gradient_where_it_is_surely_wrong() -> None:
    sizes = {}
    for on in ("logits", "softmax"):
        logits = torch.tensor([[-20.0, 20.0]], requires_grad=True)
        _made("mse", on=on)(logits, torch.tensor([0])).backward()
        assert logits.grad is not None
        sizes[on] = float(logits.grad.abs().max())
    assert sizes["softmax"] < 1e-12
    assert sizes["logits"] > 1


def test_absolute_error_on_softmax_is_two_over_c_times_what_the_right_class_lacks() -> None:
    logits = torch.tensor([[0.2, 0.3, 0.5]]).log()
    value = _made("l1", on="softmax")(logits, torch.tensor([2]))
    assert float(value) == pytest.approx(2 * 0.5 / 3)


def test_outputs_that_are_no_log_probabilities_are_refused_by_nll() -> None:
    loss = _made("nll", log_softmax=False)
    with pytest.raises(SettingError, match=r"loss=nll: the outputs of the network are no log-"):
        loss(torch.zeros(1, 3), torch.tensor([0]))
    probabilities = torch.full((1, 3), 1 / 3)
    with pytest.raises(SettingError, match="their exponentials do not sum to 1"):
        loss(probabilities, torch.tensor([0]))
    assert float(loss(probabilities.log(), torch.tensor([0]))) == pytest.approx(math.log(3))


def test_a_leading_logit_beyond_the_margin_costs_nothing_with_the_hinge() -> None:
    assert float(_made("hinge")(torch.tensor([[3.0, 1.9, -5.0]]), torch.tensor([0]))) == 0


def _masks() -> tuple[Tensor, Tensor]:
    """Four pixels of two images; the first has class 1 in one pixel, the second nowhere."""
    target = torch.tensor([[[0, 0], [0, 1]], [[0, 0], [0, 0]]])
    return torch.zeros(2, 2, 2, 2), target


def test_dice_over_an_image_counts_pixels_and_bears_an_empty_class() -> None:
    logits, target = _masks()  # p is 1/2 everywhere, smooth 1
    first = [1 - (2 * 1.5 + 1) / (2 + 3 + 1), 1 - (2 * 0.5 + 1) / (2 + 1 + 1)]
    second = [1 - (2 * 2 + 1) / (2 + 4 + 1), 1 - (0 + 1) / (2 + 0 + 1)]
    expected = (sum(first) + sum(second)) / 4
    assert float(_made("dice", over="sample")(logits, target)) == pytest.approx(expected)


def test_dice_over_the_batch_counts_the_pixels_of_all_images() -> None:
    logits, target = _masks()
    expected = (1 - (2 * 3.5 + 1) / (4 + 7 + 1) + 1 - (2 * 0.5 + 1) / (4 + 1 + 1)) / 2
    loss = dice(DiceOptions(), [1, 1])
    assert float(loss(logits, target)) == pytest.approx(expected)


def test_the_divisor_is_the_weight_of_the_targets() -> None:
    target = torch.tensor([0, 2, 2])
    for name in ("cross_entropy", "focal", "nll"):
        loss: Any = _made(name, class_weights=(1.0, 2.0, 5.0))
        assert loss.divisor(target) == 11
        plain: Any = _made(name)
        assert plain.divisor(target) == 3
