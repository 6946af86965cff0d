"""A run that is watched has the numbers of one that is not, bit for bit; and nothing is left."""

import copy
import io
import pickle
import random
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from netwright.doctor.watch import watch
from netwright.doctor.watching.discreet import Hook
from netwright.testing.loops import batches, found, mlp, sgd


@pytest.fixture(autouse=True)
def no_mode_stays_on_torchs_stack():
    before = torch._C._len_torch_function_stack()
    yield
    assert torch._C._len_torch_function_stack() == before


class Pictures(nn.Module):
    def __init__(self, segment=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(4, 4)
        self.segment = segment

    def _front(self, x):
        return F.relu(self.norm(self.conv(x)), inplace=True)

    def forward(self, x):
        x = checkpoint(self._front, x, use_reentrant=False) if self.segment else self._front(x)
        return self.head(self.drop(x.mean((2, 3))))


def pictures(steps=24):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(8, 1, 8, 8, generator=generator)
        yield x, torch.randint(0, 4, (8,), generator=generator)


def plain(model, optimizer):
    for x, y in pictures():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        yield loss


def accumulating(model, optimizer):
    for i, (x, y) in enumerate(pictures()):
        loss = F.cross_entropy(model(x), y) / 3
        loss.backward()
        if i % 3 == 2:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        yield loss


def in_bfloat16(model, optimizer):
    for x, y in pictures():
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        yield loss


def scaled(model, optimizer):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for x, y in pictures():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        yield loss


def with_closure(model, _):
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    for x, y in pictures(6):

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        yield optimizer.step(closure)


def by_two_processes_of_thought(model, optimizer):
    """Several losses, a dictionary, an evaluation in between, draws of every generator."""
    for i, (x, y) in enumerate(pictures()):
        output = model(x + 0.01 * random.random() + 0.01 * np.random.rand())
        losses = {"class": F.cross_entropy(output, y), "size": output.square().mean()}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        if i % 8 == 7:
            model.eval()
            with torch.no_grad():
                model(x).argmax(1).eq(y).sum()
            model.train()
        yield losses["class"]


def state_of(model, losses):
    return (
        [each.detach().clone() for each in (*model.parameters(), *model.buffers())],
        [float(each.detach()) for each in losses],
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    )


def run(make, loop, *, watched, optimizer=sgd, every=None, compiled=False):
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    model = make()
    used = torch.compile(model, backend="aot_eager") if compiled else model
    chosen = optimizer(model)
    if not watched:
        return state_of(model, list(loop(used, chosen)))
    holder = [chosen]
    if loop is with_closure:
        holder = []
    with watch(used, holder, every=every, checkup=False) as doctor:
        losses = list(loop(used, chosen))
    assert doctor.watcher.fault == ""
    return state_of(model, losses)


def same(one, other):
    parameters, *rest = one
    others, *remains = other
    assert all(torch.equal(a, b) for a, b in zip(parameters, others, strict=True))
    assert rest[0] == remains[0]
    assert torch.equal(rest[1], remains[1])
    assert rest[2:] == remains[2:]


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize(
    "loop",
    [plain, accumulating, in_bfloat16, scaled, with_closure, by_two_processes_of_thought],
)
def test_watched_and_unwatched_are_bit_for_bit_the_same(loop, every):
    same(run(Pictures, loop, watched=False), run(Pictures, loop, watched=True, every=every))


def test_the_same_with_checkpointed_segments():
    def make():
        return Pictures(segment=True)

    same(run(make, plain, watched=False), run(make, plain, watched=True, every=1))


def test_the_same_with_adam_and_a_compiled_model():
    def adam(model):
        return torch.optim.Adam(model.parameters())

    torch._dynamo.reset()
    one = run(Pictures, plain, watched=False, optimizer=adam, compiled=True)
    torch._dynamo.reset()
    same(one, run(Pictures, plain, watched=True, optimizer=adam, compiled=True))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(50, 8, sparse=True), nn.Linear(8, 4)
        self.rnn = nn.LSTM(8, 8, num_layers=2, dropout=0.2, batch_first=True)

    def forward(self, batch):
        return {"logits": self.head(self.rnn(self.table(batch["words"][0]))[0][:, -1])}


def reading(model, optimizer):
    for _ in range(15):
        words, y = torch.randint(0, 50, (8, 5)), torch.randint(0, 4, (8,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model({"words": [words]})["logits"], y)
        loss.backward()
        optimizer.step()
        yield loss


def test_the_same_with_a_recurrent_network_sparse_gradients_and_nested_batches():
    same(run(Words, reading, watched=False), run(Words, reading, watched=True, every=1))


def playing(watched):
    torch.manual_seed(3)
    maker = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8))
    judge = nn.Sequential(nn.Linear(8, 8), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(8, 1))
    both = nn.ModuleList([maker, judge])
    first, second = (torch.optim.Adam(each.parameters(), lr=1e-3) for each in (judge, maker))
    bce, ones, zeros = F.binary_cross_entropy_with_logits, torch.ones(16, 1), torch.zeros(16, 1)
    losses = []

    def loop():
        for _ in range(15):
            with torch.no_grad():
                fake = maker(torch.randn(16, 4))
            first.zero_grad()
            loss = bce(judge(torch.randn(16, 8) + 2), ones) + bce(judge(fake), zeros)
            loss.backward()
            first.step()
            second.zero_grad()
            bce(judge(maker(torch.randn(16, 4))), ones).backward()
            second.step()
            losses.append(loss)

    if watched:
        with watch(both, [first, second], checkup=False, every=1) as doctor:
            loop()
        assert doctor.watcher.fault == ""
        assert not [each for each in found(doctor) if each.severity != "note"]
    else:
        loop()
    return state_of(both, losses)


def test_the_same_with_two_players_and_two_optimizers():
    same(playing(False), playing(True))


PROCESS = """
    import os, sys, torch, torch.distributed as dist
    from torch import nn
    from torch.nn import functional as F
    from torch.nn.parallel import DistributedDataParallel
    from netwright.doctor.watch import watch
    rank, port = int(sys.argv[1]), sys.argv[2]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    def run(watched):
        torch.manual_seed(0)
        inner = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        model = DistributedDataParallel(inner)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        def loop():
            torch.manual_seed(rank + 1)
            for _ in range(12):
                optimizer.zero_grad()
                F.cross_entropy(model(torch.randn(8, 8)), torch.randint(0, 4, (8,))).backward()
                optimizer.step()
        if watched:
            # One rank looks at other steps than the other.
            with watch(model, optimizer, checkup=False, every=1 + 2 * rank) as doctor:
                loop()
            assert doctor.watcher.fault == "", doctor.watcher.fault
        else:
            loop()
        return [each.clone() for each in inner.state_dict().values()]
    one, other = run(False), run(True)
    assert all(torch.equal(a, b) for a, b in zip(one, other))
    dist.destroy_process_group()
"""


def test_the_same_in_two_processes_that_look_at_different_steps():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    code = textwrap.dedent(PROCESS)
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, str(rank), port],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for each in both:
            _, said = each.communicate(timeout=120)
            assert each.returncode == 0, said
    finally:
        for each in both:
            each.kill()


def traces(model, optimizer):
    found = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if "hooks" in key:
                found[name, key] = list(value or ())
            elif key not in ("_parameters", "_buffers", "_modules"):
                found[name, key] = value
    for key, value in vars(optimizer).items():
        if "hooks" in key:
            found["optimizer", key] = list(value)
    found["patches"] = (
        torch.autograd.backward, torch.optim.Optimizer.step, nn.Module.__call__,
        "__getstate__" in vars(nn.Module), torch._C._len_torch_function_stack(),
    )  # fmt: skip
    return found


@pytest.mark.parametrize("how", ["ended", "raised", "forward raised", "in the middle"])
def test_a_watch_that_is_over_leaves_nothing(how):
    model = Pictures()
    optimizer = sgd(model)
    before = traces(model, optimizer)
    try:
        with watch(model, optimizer, checkup=False):
            for number, _ in enumerate(plain(model, optimizer)):
                if number == 5 and how == "raised":
                    raise KeyError("mine")
                if number == 5 and how == "forward raised":
                    model(torch.zeros(1))
                if number == 5 and how == "in the middle":
                    loss = F.cross_entropy(*[model(torch.randn(8, 1, 8, 8)), torch.zeros(8).long()])
                    loss.backward()
                    break
    except (KeyError, RuntimeError, IndexError):
        assert "raised" in how
    assert traces(model, optimizer) == before


def test_a_model_is_copied_and_saved_without_anything_of_ours():
    model, optimizer = Pictures(), None
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False):
        for number, _ in enumerate(plain(model, optimizer)):
            if number != 5:
                continue
            copied = copy.deepcopy(model)
            file = io.BytesIO()
            torch.save(model, file)
            assert b"netwright" not in file.getvalue().replace(__name__.encode(), b"")
            names = list(model.state_dict())
    for each in copied.modules():
        assert not any(isinstance(hook, Hook) for hook in each._forward_hooks.values())
        assert not each._forward_pre_hooks
    assert names == list(Pictures().state_dict())
    copied(torch.randn(2, 1, 8, 8))


class OwnState(nn.Linear):
    def __getstate__(self):
        return self.__dict__.copy()


def test_a_class_that_gives_its_own_state_gets_hooks_that_do_nothing():
    model = OwnState(8, 4)
    with watch(model, sgd(model), checkup=False):
        copied, again = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for each in (copied, again):
        assert not any(isinstance(hook, Hook) for hook in each._forward_hooks.values())
        assert each(torch.zeros(1, 8)).shape == (1, 4)


def test_several_watches_at_once_and_nested():
    first, second = mlp(), mlp()
    one, two = sgd(first), sgd(second)
    before = traces(first, one)
    with (
        watch(first, one, checkup=False) as a,
        watch(first, one, checkup=False) as b,
        watch(second, two, checkup=False) as c,
    ):
        for x, y in batches(12):
            for model, optimizer in ((first, one), (second, two)):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
    assert [each.watcher.steps for each in (a, b, c)] == [12, 12, 12]
    assert [each.watcher.fault for each in (a, b, c)] == ["", "", ""]
    assert traces(first, one) == before


def test_a_fault_of_ours_switches_the_watch_off_with_one_line(monkeypatch):
    model = mlp()
    optimizer = sgd(model)
    before = traces(model, optimizer)
    said = []
    with watch(model, optimizer, checkup=False) as doctor:
        doctor.watcher._on_fault = said.append
        monkeypatch.setattr(doctor.watcher.order, "backward_begins", lambda *_, **__: 1 / 0)
        for x, y in batches(10):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert said == ["ZeroDivisionError: division by zero"]
    assert traces(model, optimizer) == before
