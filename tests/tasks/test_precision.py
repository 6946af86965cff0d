"""float16 with a scaled loss, TF32 and determinism: what a CPU can show of them."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

import netwright as nw
from netwright.core.events import Events
from netwright.optim.loss_scale import LossScale
from netwright.tasks.computing import exact, reproducible
from netwright.tasks.preparing import prepare
from netwright.tasks.recipe import RunOptions
from netwright.tasks.settings import resolve
from netwright.tasks.speed import Speed, asked, cost_of_exactness, is_open
from netwright.train.task import NonFiniteError

CPU = torch.device("cpu")


def task(*settings):
    """The digits and a small network, computed in float16: slow on a CPU, but the same steps."""
    words = ("batch=32", "epochs=2", *settings)
    made = prepare(resolve(data="digits", model="mlp", settings=words), Events()).task
    made.gradients.set_speed(Speed(fp16=True))
    return made


def steps(made, first, last):
    return [dict(made.step(batch, first + k)) for k, batch in
            enumerate(next_batches(made, first, last))]  # fmt: skip


def next_batches(made, first, last):
    made.model.train()
    return made.train.iterate(first, last)


def weights(made):
    return [each.detach().clone() for each in made.model.parameters()]


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"run__precision": "fp16"}, "run.precision=bf16"), ({"run__tf32": True}, "auto")],
)
def test_what_only_a_gpu_has_is_refused_on_a_cpu(setting, words, tmp_path):
    with pytest.raises(nw.NetwrightError) as error:
        nw.train("digits", model="mlp", run_dir=tmp_path / "run", device="cpu", **setting)
    assert words in error.value.hint
    assert not (tmp_path / "run").exists()


def test_the_scale_moves_as_torchs_own_scaler_does():
    good = [True] * 4 + [False] + [True] * 7 + [False, False, True, True, True, True]
    scaler = torch.amp.GradScaler("cpu", growth_interval=3)
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.0)
    mine = LossScale(patience=3)
    for finite in good:
        scaler.scale(weight.sum()).backward()
        if not finite:
            weight.grad.fill_(math.inf)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        mine.took(finite=finite)
        assert mine.factor == scaler.get_scale()


@pytest.mark.parametrize("settings", [(), ("optim.accumulate=2",), ("optim.clip=0.1",)])
def test_the_scale_cancels_out(settings):
    """By powers of two, which leave the digits of a number alone: the weights agree."""
    results = []
    for factor in (2.0**4, 2.0**10):
        made = task(*settings)
        made.gradients.scale = LossScale(factor)
        told = steps(made, 0, 6)
        assert all("grad/norm" in each for each in told)
        results.append((told, weights(made)))
    (few, one), (many, other) = results
    for mine, theirs in zip(few, many, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
        assert mine["grad/norm"] == pytest.approx(theirs["grad/norm"], rel=1e-2)
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a, b, atol=2e-3)


def test_a_step_that_overflows_is_left_out_and_the_scale_halved():
    made = task("optim.l1=0.01", "run.ema=0.9")
    made.gradients.scale = LossScale(2.0**40)
    before = weights(made)
    told = steps(made, 0, 1)
    assert set(told[0]) == {"loss"}
    assert math.isfinite(told[0]["loss"])
    assert all(torch.equal(a, b) for a, b in zip(before, weights(made), strict=True))
    assert all(each.grad is None for each in made.model.parameters())
    assert made.gradients.scale.factor == 2.0**39
    steps(made, 1, 40)
    assert made.gradients.scale.factor < 2.0**39
    assert not all(torch.equal(a, b) for a, b in zip(before, weights(made), strict=True))


def test_gradients_that_overflow_at_every_scale_end_the_training():
    made = task()
    made.gradients.scale = LossScale(1.0)
    made.gradients.loss = lambda logits, target: (F.cross_entropy(logits, target) * 0).add(
        (logits * 1e-30).sum().sqrt().mul(0)  # finite itself, its derivative is not
    )
    with torch.no_grad():
        for each in made.model.parameters():
            each.zero_()
    with pytest.raises(NonFiniteError, match="gradients"):
        steps(made, 0, 3)


def test_the_scale_is_in_the_checkpoint_and_comes_back():
    whole = task()
    whole.gradients.scale = LossScale(2.0**30)
    first = steps(whole, 0, 12)
    state = copy.deepcopy(whole.state())
    held = {name: value.clone() for name, value in whole.weights().items()}
    rest = steps(whole, 12, 20)
    again = task()
    again.load_weights(held)
    again.load_state(state)
    assert state["scaler"]["scale"] < 2.0**30
    assert steps(again, 12, 20) == rest
    assert first != rest


def test_what_is_asked_becomes_the_way_of_a_step():
    options = RunOptions(precision="fp16", tf32=True, channels_last=False, compile=False)
    assert asked(options) == Speed(fp16=True, tf32=True)
    assert asked(options).words() == "fp16, tf32"
    assert asked(options).precision == "fp16"
    closed = RunOptions(precision="bf16", channels_last=False, compile=False)
    assert not is_open(closed, CPU)  # tf32 is no question there
    assert is_open(closed, torch.device("cuda", 0))


def test_a_cpu_is_exact_whatever_is_set():
    with reproducible(deterministic=False):
        assert torch.are_deterministic_algorithms_enabled()


def test_the_cost_of_exactness_is_measured_and_nothing_is_left_switched():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    images, target = torch.ones(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    ratio = cost_of_exactness(
        Speed(), model, images, lambda logits: F.cross_entropy(logits, target), CPU
    )
    assert 0 < ratio < math.inf
    now = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    assert now == before
    with reproducible():
        exact(False)
        assert not torch.are_deterministic_algorithms_enabled()
    assert torch.are_deterministic_algorithms_enabled() == before[0]
