"""The contracts themselves, held against leaves that break them."""

from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.augment.flip import FlipOptions
from netwright.core.config import config, setting
from netwright.core.registry import Entry
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.initialisers.zeros import ZerosOptions
from netwright.optim.groups import OptimCommon
from netwright.optim.schedules import ScheduleCommon
from netwright.optim.schedules.plateau import Plateau, PlateauOptions
from netwright.testing.contracts import (
    check_augmentation,
    check_initialiser,
    check_loss,
    check_model,
    check_optimizer,
    check_options,
    check_schedule,
)


def _entry(name: str, target: Any, options: type | None = None, **facts: Any) -> Entry[Any]:
    return Entry(name=name, target=target, options=options, facts=MappingProxyType(facts))


def test_a_setting_without_help_is_noticed() -> None:
    @config
    class Silent:
        rate: float = setting(0.1, help="")

    with pytest.raises(AssertionError, match=r"x\.rate has no help text"):
        check_options(Silent, prefix="x.")


def test_a_default_outside_its_own_range_is_noticed() -> None:
    @config
    class Contrary:
        rate: float = setting(2.0, le=1, help="a rate")

    with pytest.raises(Exception, match=r"x\.rate: 2\.0 is not allowed"):
        check_options(Contrary, prefix="x.")


def test_a_model_with_a_layer_no_gradient_reaches_is_noticed() -> None:
    class Idle(nn.Module):
        def __init__(self, classes: int, width: int) -> None:
            super().__init__()
            self.used = nn.Linear(width, classes)
            self.idle = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x.flatten(1))

    def idle(*, num_classes: int = 10, in_channels: int = 1, input_size: Any = (4, 4)) -> nn.Module:
        return Idle(num_classes, in_channels * input_size[0] * input_size[1])

    with pytest.raises(AssertionError, match=r"idle\.weight has no finite gradient"):
        check_model(_entry("idle", idle, input=(1, 4, 4)))


def test_a_model_with_another_number_of_parameters_than_published_is_noticed() -> None:
    def line(*, num_classes: int = 10, in_channels: int = 1, input_size: Any = (4, 4)) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16 * in_channels, num_classes))

    with pytest.raises(AssertionError, match="170 parameters and was published with 171"):
        check_model(_entry("line", line, input=(1, 4, 4), params=171))


def test_a_model_that_differs_from_its_paper_without_a_reason_is_noticed() -> None:
    def line(*, num_classes: int = 10, in_channels: int = 1, input_size: Any = (4, 4)) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16 * in_channels, num_classes))

    facts = {"input": (1, 4, 4), "params": 170, "paper_params": 180}
    with pytest.raises(AssertionError, match="why it has 170 params and in its paper 180"):
        check_model(_entry("line", line, **facts))


def test_an_optimizer_that_ignores_its_groups_is_noticed() -> None:
    def flat(groups: list[dict[str, Any]], options: OptimCommon) -> torch.optim.Optimizer:
        every = [each for group in groups for each in group["params"]]
        return torch.optim.SGD(every, lr=options.lr)

    with pytest.raises(AssertionError, match="does not keep the weight decay and the rate"):
        check_optimizer(_entry("flat", flat, OptimCommon))


def test_a_schedule_that_leaves_the_unit_range_is_noticed() -> None:
    def steep(step: int, total: int, options: ScheduleCommon) -> float:
        return 1 - 2 * step / total

    with pytest.raises(AssertionError, match="steep gives -"):
        check_schedule(_entry("steep", steep, ScheduleCommon))


def test_an_augmentation_that_draws_for_the_batch_is_noticed() -> None:
    def flip(images: Tensor, keys: Any, amount: Any, fill: Any) -> Tensor:
        return images.flip(3) if keys.uniform("flip")[0] < 0.5 else images.clone()

    with pytest.raises(AssertionError, match=r"augments a sample alone differently|the order of"):
        check_augmentation(_entry("flip", flip, FlipOptions, order=1))


def test_an_initialiser_that_loses_the_signal_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faint(weight: Tensor, fans: Any, gain: float, options: Any) -> None:
        weight.normal_(0.0, 0.01)

    monkeypatch.setattr(INITIALISERS, "get", lambda name: entry)
    entry = _entry("faint", faint, ZerosOptions)
    with pytest.raises(AssertionError, match="faint: after 20 layers the spread is"):
        check_initialiser(entry)


def test_a_loss_that_is_a_sum_is_noticed() -> None:
    def total(options: Any, class_counts: Any) -> Any:
        return lambda logits, target: nn.functional.cross_entropy(logits, target, reduction="sum")

    with pytest.raises(AssertionError, match="total is not a mean over the batch"):
        check_loss(_entry("total", total, ZerosOptions))


def test_a_loss_that_overflows_is_noticed() -> None:
    def naive(options: Any, class_counts: Any) -> Any:
        def loss(logits: Tensor, target: Tensor) -> Tensor:
            powers = logits.exp()
            return -(powers.gather(1, target[:, None]) / powers.sum(1, keepdim=True)).log().mean()

        return loss

    with pytest.raises(AssertionError, match="naive is not finite at huge logits"):
        check_loss(_entry("naive", naive, ZerosOptions))


def test_a_schedule_whose_watcher_forgets_is_noticed() -> None:
    class Forgetful(Plateau):
        def state_dict(self) -> dict[str, Any]:
            return super().state_dict() | {"waited": 0}

    def watching(step: int, total: int, options: PlateauOptions) -> float:
        return 1.0

    with pytest.raises(AssertionError, match="watching goes on differently from its state"):
        check_schedule(
            _entry("watching", watching, PlateauOptions, watches="val/loss", watcher=Forgetful)
        )
