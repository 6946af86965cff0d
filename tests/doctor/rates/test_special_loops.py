"""Games, values that chase themselves, contrasts: healthy loops whose losses do not just fall."""

import copy
import itertools

import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch


def net(*sizes, act=nn.ReLU):
    layers = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def test_a_game_of_two_networks_is_left_alone(small):
    torch.manual_seed(0)
    maker, judge = net(4, 32, 2), net(2, 32, 1)
    ours = torch.optim.Adam(maker.parameters(), 1e-3, betas=(0.5, 0.999))
    theirs = torch.optim.Adam(judge.parameters(), 1e-3, betas=(0.5, 0.999))
    with watch(maker, ours, every=5) as first, watch(judge, theirs, every=5) as second:
        for _ in range(300):
            real = torch.randn(64, 2) * 0.5 + torch.tensor([1.0, -1.0])
            fake = maker(torch.randn(64, 4))
            theirs.zero_grad()
            both = torch.cat([judge(real), judge(fake.detach())])
            truth = torch.cat([torch.ones(64, 1), torch.zeros(64, 1)])
            F.binary_cross_entropy_with_logits(both, truth).backward()
            theirs.step()
            ours.zero_grad()
            F.binary_cross_entropy_with_logits(judge(fake), torch.ones(64, 1)).backward()
            ours.step()
    for doctor in (first, second):
        found = small.judged(doctor.record()).at_least("warn")
        assert [each.name for each in found if each.group != "data"] == []


def test_values_that_grow_with_their_own_targets_are_left_alone(small):
    torch.manual_seed(0)
    value = net(4, 32, 32, 3)
    target = copy.deepcopy(value).requires_grad_(False)
    optimizer = torch.optim.Adam(value.parameters(), 2e-3)
    with watch(value, optimizer, every=5) as doctor:
        for step in range(400):
            state, after = torch.randn(32, 4), torch.randn(32, 4)
            action = torch.randint(0, 3, (32, 1))
            reward = (state[:, :1] > 0).float()
            with torch.no_grad():
                goal = reward + 0.95 * target(after).max(1, keepdim=True).values
            optimizer.zero_grad()
            F.smooth_l1_loss(value(state).gather(1, action), goal).backward()
            optimizer.step()
            if step % 40 == 0:
                target.load_state_dict(value.state_dict())
        said = small.judged(doctor.record())
    assert small.alarms(said) == []


def test_a_contrast_within_the_batch_is_left_alone(small):
    torch.manual_seed(0)
    model = net(16, 32, 8)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    with watch(model, optimizer, every=5) as doctor:
        for _ in range(200):
            chosen = small.inputs[torch.randint(0, len(small.inputs), (32,))]
            one = F.normalize(model(chosen + 0.1 * torch.randn_like(chosen)), dim=1)
            other = F.normalize(model(chosen + 0.1 * torch.randn_like(chosen)), dim=1)
            optimizer.zero_grad()
            F.cross_entropy(one @ other.T / 0.2, torch.arange(32)).backward()
            optimizer.step()
        said = small.judged(doctor.record())
    assert small.alarms(said) == []
