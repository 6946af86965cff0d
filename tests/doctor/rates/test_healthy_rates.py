"""Runs that look odd and are well: no warning, neither at the first step nor at the last.

Each was trained over three seeds when the bounds were set; one of them runs here.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler as schedules

from netwright.records.facts.cost import Cost
from netwright.records.facts.layers import Layers
from netwright.records.facts.loop import Loop
from netwright.records.facts.steps import Steps
from netwright.records.record import Record


def warm(step, optimizer):
    """A warm-up by hand, from nearly nothing."""
    optimizer.param_groups[0]["lr"] = 0.1 * min(1.0, (step + 1e-4) / 100)


def pretrained(small):
    model = small.mlp()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        F.cross_entropy(model(small.inputs), small.targets).backward()
        optimizer.step()
    return model


def frozen(small):
    model = pretrained(small)
    for each in model[:-1].parameters():
        each.requires_grad_(False)
    model[-1].reset_parameters()
    return model


RUNS = {
    "plain descent": lambda s: s.run(s.mlp, s.sgd(0.1)),
    "Adam with a wide network": lambda s: s.run(lambda: s.mlp(128, 128), s.adam()),
    "warm-up from a tiny rate": lambda s: s.run(s.mlp, s.sgd(0.1, 0.9), before=warm, steps=60),
    "warm-up whose first rate is 0": lambda s: s.run(
        s.mlp, s.adam(), schedule=lambda o: schedules.LambdaLR(o, lambda t: min(1, t / 40))
    ),
    "cosine to 0": lambda s: s.run(
        s.mlp, s.sgd(0.1, 0.9), schedule=lambda o: schedules.CosineAnnealingLR(o, 120), plan=120
    ),
    "one cycle": lambda s: s.run(
        s.mlp, s.sgd(0.1, 0.9), schedule=lambda o: schedules.OneCycleLR(o, 0.3, total_steps=121),
        plan=120,
    ),
    "cyclic": lambda s: s.run(
        s.mlp, s.sgd(0.05, 0.9),
        schedule=lambda o: schedules.CyclicLR(o, 1e-4, 0.2, step_size_up=20), steps=200,
    ),
    "warm restarts": lambda s: s.run(
        s.mlp, s.sgd(0.1, 0.9),
        schedule=lambda o: schedules.CosineAnnealingWarmRestarts(o, 40), steps=160,
    ),
    "full batch at the edge of stability": lambda s: s.run(
        lambda: s.mlp(act=nn.Tanh), s.sgd(1.0), batch=512, steps=150
    ),
    "LBFGS": lambda s: s.run(
        s.mlp, lambda held: torch.optim.LBFGS(held, lr=0.5), batch=512, steps=15
    ),
    "batches of one": lambda s: s.run(s.mlp, s.sgd(0.01), batch=1, steps=400),
    "batches of two with momentum": lambda s: s.run(s.mlp, s.sgd(0.005, 0.9), batch=2, steps=300),
    "a small network at a large rate": lambda s: s.run(lambda: s.mlp(8), s.sgd(1.0)),
    "Adam at a hundredth": lambda s: s.run(s.mlp, s.adam(1e-2)),
    "a run that is done": lambda s: s.run(
        s.mlp, s.adam(1e-2), inputs=s.inputs[:64], targets=s.targets[:64], steps=300
    ),
    "batch norm at a high rate": lambda s: s.run(
        lambda: s.mlp(32, 32, 32, bn=True), s.sgd(0.3, 0.9)
    ),
    "fine-tuning": lambda s: s.run(lambda: pretrained(s), s.sgd(1e-4, 0.9)),
    "fine-tuning by Adam": lambda s: s.run(lambda: pretrained(s), s.adam(1e-5)),
    "a frozen backbone": lambda s: s.run(lambda: frozen(s), s.sgd(0.1, 0.9)),
    "clipping at every step that learns": lambda s: s.run(s.mlp, s.adam(), clip=0.01),
    "accumulation": lambda s: s.run(s.mlp, s.sgd(0.1, 0.9), accumulate=4),
    "dropout of a half": lambda s: s.run(lambda: s.mlp(64, 64, drop=0.5), s.sgd(0.1, 0.9)),
    "labels of pure chance": lambda s: s.run(
        s.mlp, s.sgd(0.1), targets=torch.randint(0, 4, (512,)), steps=320
    ),
    "label smoothing": lambda s: s.run(
        s.mlp, s.sgd(0.1, 0.9),
        loss=lambda a, b: F.cross_entropy(a, b, label_smoothing=0.2),
    ),
    "regression": lambda s: s.run(
        lambda: nn.Linear(16, 1), s.sgd(0.01), targets=s.numbers, loss=F.mse_loss
    ),
    "noise as target": lambda s: s.run(
        lambda: nn.Linear(16, 1), s.sgd(0.01), targets=torch.randn(512, 1), loss=F.mse_loss,
        steps=320,
    ),
    "slow but steady": lambda s: s.run(s.mlp, s.sgd(0.005)),
    "decay as usual": lambda s: s.run(s.mlp, s.sgd(0.1, 0.9, weight_decay=5e-4)),
    "inverse root": lambda s: s.run(
        s.mlp, s.adam(),
        before=lambda t, o: o.param_groups[0].update(
            lr=5e-3 * min((t + 1) / 40, math.sqrt(40 / (t + 1)))
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_a_healthy_run_raises_no_alarm_at_its_beginning_or_its_end(small, kind):
    said = RUNS[kind](small)
    assert small.alarms(said) == []
    watched = (Steps, Layers, Loop, Cost)
    early = small.judged(Record([each for each in said.record if not isinstance(each, watched)]))
    assert small.alarms(early) == []


def test_an_adversarial_game_raises_no_alarm_on_either_side(small):
    from netwright.doctor.watch import watch

    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    of_maker = torch.optim.Adam(maker.parameters(), 1e-3, betas=(0.5, 0.999))
    of_critic = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.999))
    bce = F.binary_cross_entropy_with_logits
    with (
        watch(critic, of_critic, every=5) as of_the_critic,
        watch(maker, of_maker, every=5) as of_the_maker,
    ):
        for _ in range(200):
            real, fake = 0.3 * torch.randn(64, 2) + 1, maker(torch.randn(64, 8))
            of_critic.zero_grad()
            loss = bce(critic(real), torch.ones(64, 1))
            (loss + bce(critic(fake.detach()), torch.zeros(64, 1))).backward()
            of_critic.step()
            of_maker.zero_grad()
            bce(critic(fake), torch.ones(64, 1)).backward()
            of_maker.step()
    for doctor in (of_the_critic, of_the_maker):
        assert small.alarms(small.judged(doctor.record())) == []
