"""The traced memory of a training step, against the allocator and against sums by hand."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

from netwright.inspection.step_loss import usual_loss
from netwright.inspection.training_step import inference_memory, training_memory
from netwright.models import build


def highest(run: Callable[[], Any]) -> int:
    """The most that `run` has allocated at once, by the events of torch's allocator."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = profiler.profiler.kineto_results.events()
    changes = [(each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]"]
    live = top = 0
    for _, change in sorted(changes, key=lambda each: each[0]):
        live += change
        top = max(top, live)
    return top


def held(tensors: Iterable[Any]) -> int:
    found = [each.untyped_storage() for each in tensors if isinstance(each, Tensor)]
    return sum({each._cdata: each.nbytes() for each in found}.values())


def measured(net: nn.Module, batch: Tensor, optimizer: optim.Optimizer) -> int:
    """The allocator's peak in the second step."""

    def step() -> Any:
        optimizer.zero_grad()
        output = net(batch)
        usual_loss(output).backward()
        optimizer.step()
        return output

    step()
    optimizer.zero_grad()
    state = [part for each in optimizer.state.values() for part in each.values()]
    return held([*net.parameters(), *net.buffers(), batch, *state]) + highest(step)


class Block(nn.Module):
    """Convolutions with norms and ReLU, which checkpoints recompute if `again`."""

    def __init__(self, again: bool = False) -> None:
        super().__init__()
        self.again = again
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.ModuleList(
            nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
            for _ in range(3)
        )
        self.lift = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        images = F.max_pool2d(self.stem(images), 2)
        for part in self.body:
            images = checkpoint(part, images, use_reentrant=False) if self.again else part(images)
        return self.head(F.dropout(self.lift(images), 0.2, self.training).mean((2, 3)))


class Sentence(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 32)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(tokens)).mean(1))


class Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, 32, 2, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.lstm(rows)[0][:, -1])


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (64, 1, 28, 28)),
    "lenet5": (
        lambda: build("lenet5", num_classes=10, in_channels=1, input_size=(32, 32)),
        (16, 1, 32, 32),
    ),
    "resnet20": (
        lambda: build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32)),
        (2, 3, 32, 32),
    ),
    "convolutions": (Block, (4, 3, 32, 32)),
    "checkpointed": (lambda: Block(again=True), (4, 3, 32, 32)),
    "attention": (lambda: Sentence(0.0), (4, 40)),
    "attention with dropout": (lambda: Sentence(0.1), (4, 40)),
    "lstm": (Rows, (8, 12, 24)),
}


def case(name: str) -> tuple[nn.Module, Tensor]:
    make, shape = CASES[name]
    tokens = name.startswith("attention")
    return make(), torch.zeros(shape, dtype=torch.long) if tokens else torch.randn(shape)


@pytest.mark.parametrize("name", CASES)
def test_the_traced_peak_is_the_allocators(name: str) -> None:
    net, batch = case(name)
    true = measured(net, batch, optim.SGD(net.parameters(), lr=0.01, momentum=0.9))
    assert training_memory(net, (batch,), optimizer="momentum").peak_bytes == pytest.approx(
        true, rel=0.05
    )


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.NAdam])
def test_the_peak_is_the_allocators_with_every_optimizer(kind: type[optim.Optimizer]) -> None:
    net, batch = case("mlp")
    true = measured(net, batch, kind(net.parameters()))  # type: ignore[call-arg]
    assert training_memory(net, (batch,), optimizer=kind).peak_bytes == pytest.approx(
        true, rel=0.02
    )


@pytest.mark.parametrize(
    "kind",
    [
        optim.SGD,
        optim.Adam,
        optim.AdamW,
        optim.RMSprop,
        optim.NAdam,
        optim.RAdam,
        optim.Adagrad,
        optim.Adamax,
        optim.ASGD,
        optim.Adafactor,
    ],
)
def test_the_state_of_an_optimizer_is_its_own_to_the_byte(kind: type[optim.Optimizer]) -> None:
    net, batch = case("mlp")
    found = training_memory(net, (batch,), optimizer=kind)
    optimizer = kind(net.parameters(), lr=0.01)  # type: ignore[call-arg]
    usual_loss(net(batch)).backward()
    optimizer.step()
    state = [part for each in optimizer.state.values() for part in each.values()]
    assert found.optimizer_bytes == held(state)
    assert found.parts.inputs == batch.nbytes  # what an optimizer counts with is no input


@pytest.mark.parametrize("form", ["foreach", "fused", "amsgrad"])
def test_the_callers_own_optimizer_is_traced_with_its_options(form: str) -> None:
    net, batch = case("mlp")
    optimizer = optim.Adam(net.parameters(), **{form: True})
    true = measured(net, batch, optimizer)
    assert training_memory(net, (batch,), optimizer=optimizer).peak_bytes == pytest.approx(
        true, rel=0.02
    )


@pytest.mark.parametrize("name", ["mlp", "convolutions", "attention", "lstm"])
def test_the_peak_of_inference_is_the_allocators(name: str) -> None:
    net, batch = case(name)
    net.eval()

    def run() -> Any:
        with torch.no_grad():
            return net(batch)

    run()
    true = held([*net.parameters(), *net.buffers(), batch]) + highest(run)
    assert inference_memory(net, (batch,)).peak_bytes == pytest.approx(true, rel=0.05)


def test_casts_of_autocast_count() -> None:
    net, batch = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)), torch.randn(256, 64)
    whole = training_memory(net, (batch,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = training_memory(net, (batch,))
    # Saved: the batch and the weights cast, one result (and not the loss's log-softmax of float).
    assert half.saved_bytes < whole.saved_bytes + 2 * (256 * 64 + 2 * 64 * 64)
    assert half.gradient_bytes == whole.gradient_bytes


def test_each_part_is_what_a_sum_by_hand_gives() -> None:
    net = nn.Sequential(nn.Linear(100, 200, bias=False), nn.ReLU(), nn.Linear(200, 10, bias=False))
    found = training_memory(net, (torch.empty(5, 100),), optimizer="adam")
    weights = 4 * (100 * 200 + 200 * 10)
    assert found.weight_bytes == found.gradient_bytes == weights
    assert found.optimizer_bytes == 2 * weights + 2 * 4  # two moments, and each has its step count
    assert found.input_bytes == 4 * 5 * 100
    # ReLU's result, which the second layer needs too; log-softmax, the targets, the loss's weight
    # and the loss itself. The first layer's result is gone.
    assert found.saved_bytes == 4 * 5 * 200 + 4 * 5 * 10 + 8 * 5 + 4 + 4
    assert found.output_bytes == 4 * 5 * 10


def test_the_optimizer_is_the_peak_of_large_weights_and_a_small_batch() -> None:
    net = nn.Sequential(nn.Linear(300, 300, bias=False))
    found = training_memory(net, (torch.empty(2, 300),), optimizer="adam")
    assert str(found.moment) == "optimizer step"
    assert found.parts.passing == 2 * 4 * 300 * 300  # the root, and the root divided
    assert found.parts.gradients == found.parts.weights == 4 * 300 * 300
    assert found.parts.total == found.peak_bytes


def test_the_backward_of_a_layer_is_named() -> None:
    net = nn.Sequential()
    net.add_module("stem", nn.Conv2d(3, 32, 3, padding=1))
    net.add_module("body", nn.Conv2d(32, 32, 3, padding=1))
    found = training_memory(net, (torch.empty(4, 3, 32, 32),))
    assert str(found.moment) == "backward of body"
    assert found.moment.operation == "convolution_backward"
    assert found.parts.scratch > 0
    assert dict(found.phase_peaks)["backward"] == found.peak_bytes
    assert max(each.bytes for each in found.timeline) == found.peak_bytes


def test_a_checkpoint_keeps_less_and_computes_more() -> None:
    batch = torch.empty(4, 3, 32, 32)
    plain, again = (training_memory(Block(kind), (batch,)) for kind in (False, True))
    assert again.saved_bytes < plain.saved_bytes
    assert again.peak_bytes < plain.peak_bytes
    assert (plain.recomputed_macs, again.recomputed_macs) == (0, 3 * 4 * 16 * 16 * 16 * 16 * 9)
    assert again.backward_macs == plain.backward_macs


def test_a_slice_of_a_data_set_counts_as_the_batch_it_is() -> None:
    data = torch.empty(1000, 8)
    assert training_memory(nn.Linear(8, 2), (data[:4],)).input_bytes == 4 * 4 * 8


def test_tied_weights_are_there_once() -> None:
    first, second = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
    second.weight = first.weight
    found = training_memory(nn.Sequential(first, second), (torch.empty(2, 8),))
    assert found.weight_bytes == found.gradient_bytes == 4 * 8 * 8


def test_a_loss_with_targets_of_its_own() -> None:
    target = torch.zeros(4, 3)
    found = training_memory(
        nn.Linear(8, 3), (torch.empty(4, 8),), loss=lambda output: F.mse_loss(output, target)
    )
    assert found.parts.inputs == 4 * 4 * 8 + 4 * 4 * 3


def test_outputs_of_any_form_have_a_loss() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, batch: dict[str, Tensor], *, scale: float) -> dict[str, Any]:
            main = self.layer(batch["rows"]) * scale
            return {"main": main, "more": [main.sum(), (main[0],)]}

    found = training_memory(Two(), ({"rows": torch.empty(4, 8)},), {"scale": 2.0})
    assert found.gradient_bytes == 4 * (8 * 3 + 3)
