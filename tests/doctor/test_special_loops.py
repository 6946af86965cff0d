"""Loops in which no single loss is made smaller are known, and nobody is alarmed by them; plain
loops are not taken for such ones, whatever is wrong with them."""

from __future__ import annotations

import copy
import itertools
import random
import sys
from collections import deque
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netwright as nw
from netwright.cli.leaf_pages import leaf_page
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.diagnosis import diagnosed
from netwright.doctor.watching.program import Program
from netwright.doctor.watching.special import GAMES
from netwright.records.facts.setup import Setup


def mlp(*sizes: int, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def ring(count: int) -> Tensor:
    angle = 2 * torch.pi * torch.rand(count)
    return torch.stack((angle.cos(), angle.sin()), 1) + 0.05 * torch.randn(count, 2)


def gan(steps: int = 120, *, freeze: bool = False, critics: int = 1) -> None:
    """A generator of points on a ring against a discriminator."""
    generator, judge = mlp(4, 32, 32, 2), mlp(2, 32, 32, 1, act=lambda: nn.LeakyReLU(0.2))
    of_generator = torch.optim.Adam(generator.parameters(), 1e-3, betas=(0.5, 0.999))
    of_judge = torch.optim.Adam(judge.parameters(), 1e-3, betas=(0.5, 0.999))
    for _ in range(steps):
        for _ in range(critics):
            judge.requires_grad_(True)
            real, fake = ring(64), generator(torch.randn(64, 4)).detach()
            of_judge.zero_grad()
            loss = F.binary_cross_entropy_with_logits(judge(real), torch.ones(64, 1))
            loss = loss + F.binary_cross_entropy_with_logits(judge(fake), torch.zeros(64, 1))
            loss.backward()
            of_judge.step()
        judge.requires_grad_(not freeze)
        of_generator.zero_grad()
        fooled = judge(generator(torch.randn(64, 4)))
        F.binary_cross_entropy_with_logits(fooled, torch.ones(64, 1)).backward()
        of_generator.step()


def wasserstein(steps: int = 60) -> None:
    """The same with a critic, whose losses have either sign."""
    generator, critic = mlp(4, 32, 2), mlp(2, 32, 1)
    of_generator = torch.optim.RMSprop(generator.parameters(), 5e-4)
    of_critic = torch.optim.RMSprop(critic.parameters(), 5e-4)
    for _ in range(steps):
        for _ in range(3):
            of_critic.zero_grad()
            fake = generator(torch.randn(64, 4)).detach()
            (critic(fake).mean() - critic(ring(64)).mean()).backward()
            of_critic.step()
            with torch.no_grad():
                for each in critic.parameters():
                    each.clamp_(-0.1, 0.1)
        of_generator.zero_grad()
        (-critic(generator(torch.randn(64, 4))).mean()).backward()
        of_generator.step()


class Corridor:
    """Eight places in a row; at the right end there is a reward."""

    def __init__(self) -> None:
        self.place = 0

    def step(self, right: int) -> tuple[float, bool]:
        self.place = min(7, max(0, self.place + (1 if right else -1)))
        done = self.place == 7
        return (1.0 if done else -0.02), done


def seen(place: int) -> Tensor:
    return F.one_hot(torch.tensor(place), 8).float()


def dqn(steps: int = 150, *, target_first: bool = False, soft: bool = False) -> None:
    """Q-learning with a memory and a second network that gives the targets."""
    policy = mlp(8, 32, 2)
    target = copy.deepcopy(policy)
    optimizer = torch.optim.Adam(policy.parameters(), 2e-3)
    memory: deque[tuple[Tensor, int, float, Tensor, float]] = deque(maxlen=500)
    chance, world = random.Random(0), Corridor()
    for step in range(steps + 64):
        state = seen(world.place)
        with torch.no_grad():
            best = int(policy(state[None]).argmax())
        action = chance.randrange(2) if chance.random() < 0.5 else best
        reward, done = world.step(action)
        memory.append((state, action, reward, seen(world.place), float(done)))
        if done:
            world.place = 0
        if step < 64:
            continue
        drawn = chance.sample(list(memory), 32)
        states, actions, rewards, following, dones = zip(*drawn, strict=True)
        s, n = torch.stack(states), torch.stack(following)
        a = torch.tensor(actions)[:, None]

        def goal(rewards=rewards, dones=dones, n=n) -> Tensor:
            with torch.no_grad():
                ahead = target(n).max(1).values
            return torch.tensor(rewards) + 0.95 * ahead * (1 - torch.tensor(dones))

        if target_first:
            wanted = goal()
            values = policy(s).gather(1, a)[:, 0]
        else:
            values = policy(s).gather(1, a)[:, 0]
            wanted = goal()
        optimizer.zero_grad()
        F.smooth_l1_loss(values, wanted).backward()
        optimizer.step()
        if soft:
            with torch.no_grad():
                for own, other in zip(target.parameters(), policy.parameters(), strict=True):
                    own.mul_(0.99).add_(other, alpha=0.01)
        elif step % 25 == 0:
            target.load_state_dict(policy.state_dict())


def reinforce(steps: int = 80, *, baseline: bool = True) -> None:
    """Log-probabilities of what was done, weighed by what came of it."""
    policy = mlp(8, 32, 2)
    optimizer = torch.optim.Adam(policy.parameters(), 5e-3)
    for _ in range(steps):
        world, logs, rewards = Corridor(), [], []
        for _ in range(20):
            likely = torch.distributions.Categorical(logits=policy(seen(world.place)[None]))
            action = likely.sample()
            reward, done = world.step(int(action))
            logs.append(likely.log_prob(action))
            rewards.append(reward)
            if done:
                break
        gained = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
        if baseline and len(gained) > 1:
            gained = (gained - gained.mean()) / (gained.std() + 1e-6)
        optimizer.zero_grad()
        (-(torch.cat(logs) * gained).sum()).backward()
        optimizer.step()


def contrast(steps: int = 120) -> None:
    """Two noisy views of each sample are to be found among all others."""
    model = mlp(16, 32, 8)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        x = torch.randn(32, 16)
        one = F.normalize(model(x + 0.3 * torch.randn_like(x)), dim=1)
        other = F.normalize(model(x + 0.3 * torch.randn_like(x)), dim=1)
        optimizer.zero_grad()
        F.cross_entropy(one @ other.T / 0.2, torch.arange(32)).backward()
        optimizer.step()


def distil(steps: int = 120) -> None:
    """A network predicts what a slow copy of itself sees in another view."""
    online, head = mlp(16, 32, 8), mlp(8, 16, 8)
    slow = copy.deepcopy(online).requires_grad_(False)
    optimizer = torch.optim.Adam([*online.parameters(), *head.parameters()], 1e-3)
    for _ in range(steps):
        x = torch.randn(32, 16)
        with torch.no_grad():
            wanted = F.normalize(slow(x + 0.3 * torch.randn_like(x)), dim=1)
        given = F.normalize(head(online(x + 0.3 * torch.randn_like(x))), dim=1)
        optimizer.zero_grad()
        (2 - 2 * (given * wanted).sum(1)).mean().backward()
        optimizer.step()
        with torch.no_grad():
            for own, other in zip(slow.parameters(), online.parameters(), strict=True):
                own.mul_(0.98).add_(other, alpha=0.02)


HEALTHY = {
    "gan": (lambda: gan(60), "adversarial"),
    "gan with a frozen judge": (lambda: gan(40, freeze=True), "adversarial"),
    "gan with several steps of the judge": (lambda: gan(20, critics=3), "adversarial"),
    "wasserstein": (lambda: wasserstein(40), "adversarial"),
    "dqn": (dqn, "bootstrapped"),
    "dqn with the target first": (lambda: dqn(target_first=True), "bootstrapped"),
    "dqn with a soft update": (lambda: dqn(soft=True), "bootstrapped"),
    "reinforce": (lambda: reinforce(50), "reinforcement"),
    "reinforce without a baseline": (lambda: reinforce(50, baseline=False), ""),
    "contrast": (contrast, ""),
    "distillation of itself": (distil, "bootstrapped"),
}


def heard(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "netwright.doctor"]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_special_loop_is_known_and_alarms_nobody(name, caplog):
    loop, kind = HEALTHY[name]
    torch.manual_seed(0)
    with Program() as program:
        loop()
    assert program.cases
    for case in program.cases:
        record = case.record()
        assert case.doctor.watcher.fault == ""
        assert record.get(Setup).special == kind
        assert [e.name for e in diagnosed(record).findings if e.severity != "note"] == []
    assert heard(caplog) == []


def test_players_that_are_watched_one_by_one_are_known_as_well():
    torch.manual_seed(0)
    generator, judge = mlp(4, 16, 2), mlp(2, 16, 1)
    one = torch.optim.Adam(generator.parameters(), 1e-3)
    other = torch.optim.Adam(judge.parameters(), 1e-3)
    with (
        nw.watch(generator, one, checkup=False) as first,
        nw.watch(judge, other, checkup=False) as second,
    ):
        for _ in range(6):
            fake = generator(torch.randn(16, 4))
            other.zero_grad()
            (F.softplus(judge(fake.detach())) + F.softplus(-judge(ring(16)))).mean().backward()
            other.step()
            one.zero_grad()
            F.softplus(-judge(fake)).mean().backward()
            one.step()
    for doctor in (first, second):
        assert doctor.record().get(Setup).special == "adversarial"
    assert not GAMES.held()  # nothing is kept of a watch that is over


# Plain loops


def pair(steps: int, *, both: bool = True) -> None:
    """An encoder and a decoder of one loss, by two optimizers, one of them perhaps forgotten."""
    encoder, decoder = mlp(8, 16, 4), mlp(4, 16, 8)
    one = torch.optim.Adam(encoder.parameters(), 1e-3)
    other = torch.optim.Adam(decoder.parameters(), 1e-3)
    for _ in range(steps):
        x = torch.randn(32, 8)
        one.zero_grad()
        other.zero_grad()
        F.mse_loss(decoder(encoder(x)), x).backward()
        one.step()
        if both:
            other.step()


def side_by_side(steps: int) -> None:
    """Two networks that have nothing to do with each other."""
    pairs = [(net, torch.optim.SGD(net.parameters(), 0.1)) for net in (mlp(4, 8, 2), mlp(4, 8, 2))]
    for _ in range(steps):
        for net, optimizer in pairs:
            x = torch.randn(16, 4)
            optimizer.zero_grad()
            F.cross_entropy(net(x), (x[:, 0] > 0).long()).backward()
            optimizer.step()


def plain(steps: int, *, sign: float = 1.0, average: bool = False, teacher: bool = False) -> None:
    """Two classes; with a moving average that validates, or a teacher of the same shape."""
    net, other = mlp(4, 8, 2), mlp(4, 8, 2)
    slow = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for step in range(steps):
        x = torch.randn(32, 4)
        y = (x[:, 0] > 0).long()
        optimizer.zero_grad()
        loss = sign * F.cross_entropy(net(x), y)
        if teacher:
            with torch.no_grad():
                wanted = other(x).softmax(1)
            loss = F.kl_div(net(x).log_softmax(1), wanted, reduction="batchmean")
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for own, following in zip(slow.parameters(), net.parameters(), strict=True):
                own.mul_(0.9).add_(following, alpha=0.1)
            if average and step % 10 == 9:
                slow(x)


def hinge(steps: int) -> None:
    """Labels of -1 and 1 times the score: numbers of both signs that are no rewards."""
    net = mlp(4, 8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(steps):
        x = torch.randn(32, 4)
        optimizer.zero_grad()
        (1 - x[:, 0].sign() * net(x)[:, 0]).clamp_min(0).mean().backward()
        optimizer.step()


PLAIN = {
    "an encoder and a decoder": lambda: pair(20),
    "a decoder that is never stepped": lambda: pair(20, both=False),
    "two networks side by side": lambda: side_by_side(20),
    "a loss of the wrong sign": lambda: plain(20, sign=-1.0),
    "an average that validates": lambda: plain(30, average=True),
    "a teacher of the same shape": lambda: plain(20, teacher=True),
    "a hinge by hand": lambda: hinge(20),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_loop_faulty_or_not_is_not_taken_for_special(name):
    torch.manual_seed(0)
    with Program(checkup=False) as program:
        PLAIN[name]()
    assert program.cases
    assert [each.record().get(Setup).special for each in program.cases] == [""] * len(program.cases)


# Conditions of special loops that have no rule yet

LISTED = (
    "mode-collapse", "discriminator-wins", "oscillating-game", "diverging-q-values",
    "dead-exploration", "replay-starvation", "target-never-updated", "no-positive-anchors",
    "background-collapse", "mask-misaligned", "ignore-index-trained", "repeats-one-sentence",
    "teacher-forcing-gap", "rank-desync", "unequal-data",
)  # fmt: skip


@pytest.mark.parametrize("name", LISTED)
def test_a_condition_without_a_rule_is_listed_and_nobody_asks_it(name):
    entry = CONDITIONS.get(name)
    assert entry.facts["when"] == "once its kind of task is trained here"
    assert entry.facts["reads"] == ()
    assert "no rule stands behind" in sys.modules[entry.target.__module__].__doc__


def test_the_page_of_such_a_condition_does_not_say_how_to_look_for_it():
    entry = CONDITIONS.get("mode-collapse")
    page = "\n".join(leaf_page("conditions", entry))
    assert "once its kind of task is trained here" in page
    assert "Look for it" not in page
