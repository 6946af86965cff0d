"""Patches of scripts whose training stands in functions and classes, and of limits and cuts."""

from __future__ import annotations

import difflib

import pytest

from netwright.core.languages import Phrase
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.tasks.patches import patches_for
from netwright.tasks.source.script import Script

FUNCTIONS = """\
import copy
import torch
from torch import nn, optim
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(4, 8), nn.Dropout(0.9), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(self.drop(F.relu(self.a(x))))

def epoch(model, batches, opt, sched):
    for x, y in batches:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-4)
        opt.step()
        sched.step()

def main():
    net = Net()
    best = copy.deepcopy(net)
    optimizer = optim.SGD(best.parameters(), lr=0.1, weight_decay=0.5)
    schedule = optim.lr_scheduler.StepLR(optimizer, 10)
    for _ in range(20):
        epoch(net, loader, optimizer, sched=schedule)

main()
"""

CLASSES = """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(self.model.head.parameters(), lr=1e-3)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 1e-5, 100)

    def fit(self, batches):
        for x, y in batches:
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.model(x), y)
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def score(self, batches):
        'The share that is right.'
        return sum((self.model(x).argmax(1) == y).sum() for x, y in batches)
"""

GATHERED = """\
import torch
from torch import nn

model, opt = nn.Linear(4, 3), None
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for i, (x, y) in enumerate(batches):
    loss = nn.functional.cross_entropy(model(x), y) / 4
    loss.backward()
    if (i + 1) % 4 == 0:
        opt.step()
"""

ONE_BATCH = """\
import torch
from torch import nn

class Trainer:
    def __init__(self, model):
        self.model, self.losses = model, []
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def fit(self, batches):
        for x, y in batches:
            self.one(x, y)

    def one(self, x, y):
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss)
"""


def changes(name, text):
    """For each patch of a treatment, the lines it takes away and adds."""
    finding = Finding(
        name="x", severity="note", what=Phrase("x"), cause=Phrase("x"), wrong_if=Phrase("x"),
        evidence=(Evidence(signal=Phrase("x"), value=1),),
        treatments=(Treatment(name=name, grade="ask", why=Phrase("x")),),
    )  # fmt: skip
    told = []
    for _, patch in patches_for(Script.read(text.encode()), finding):
        lines = difflib.ndiff(text.splitlines(), patch.script.text.splitlines())
        told.append([each for each in lines if each[0] in "+-"])
    return told


def test_an_optimizer_of_a_copy_gets_the_model_that_is_called():
    (only,) = changes("rebuild-optimizer", FUNCTIONS)
    assert only[1] == "+     optimizer = optim.SGD(net.parameters(), lr=0.1, weight_decay=0.5)"


def test_a_model_of_a_class_keeps_its_self():
    (only,) = changes("rebuild-optimizer", CLASSES)
    assert only[1].strip("+ ") == (
        "self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)"
    )
    (drawn,) = changes("random-initialiser", CLASSES)
    assert drawn[0] == "+         for layer in self.model.modules():"


def test_a_schedule_leaves_the_function_of_one_epoch():
    (only,) = changes("step-once-an-epoch", FUNCTIONS)
    assert only == ["-         sched.step()", "+         schedule.step()"]
    patched = FUNCTIONS.replace("        sched.step()\n", "").replace(
        "sched=schedule)\n", "sched=schedule)\n        schedule.step()\n"
    )
    assert changes("step-once-an-epoch", patched) == []


def test_of_a_schedule_with_a_peak_only_the_peak_is_changed():
    first, *_ = changes("higher-rate", CLASSES)
    assert [each for each in first if each[0] == "+"] == [
        "+         self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 0.0001, 100)"
    ]


def test_a_limit_is_raised_or_taken_away():
    raised, gone = changes("raise-limit", FUNCTIONS)
    assert raised[1] == "+         nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
    assert gone == ["-         nn.utils.clip_grad_norm_(model.parameters(), 1e-4)"]


def test_dropout_and_decay_become_less_or_nothing():
    less, none = changes("weaken", FUNCTIONS)
    told = [each for each in less if each[0] == "+"]
    assert "nn.Dropout(0.2)" in told[0]
    assert "weight_decay=0.005" in told[1]
    assert "nn.Dropout(0.0)" in next(each for each in none if each[0] == "+")
    assert changes("weaken", FUNCTIONS.replace("0.9", "0.0").replace("decay=0.5", "decay=0")) == []


def test_gradients_that_are_gathered_are_cleared_behind_their_step():
    assert changes("zero-grad", GATHERED) == [["+         opt.zero_grad()"]]
    cleared = GATHERED + "        opt.zero_grad()\n"
    assert changes("zero-grad", cleared) == []


def test_a_function_without_gradients_evaluates():
    (only,) = changes("set-mode", CLASSES)
    assert only == ["+         self.model.train()", "+         self.model.eval()"]


def test_the_loss_is_kept_in_the_function_of_one_batch_too():
    (only,) = changes("keep-the-number", ONE_BATCH)
    assert only[1] == "+         self.losses.append(loss.item())"


@pytest.mark.parametrize(
    ("cut", "cuts"),
    [
        ("F.relu(self.a(x)).detach()", ".detach()"),
        ("F.relu(self.a(x)).data", ".data"),
        ("F.relu(self.a(x.detach()))", ".detach()"),
    ],
)
def test_what_cuts_the_graph_goes(cut, cuts):
    broken = FUNCTIONS.replace("F.relu(self.a(x))", cut)
    (only,) = changes("keep-gradient", broken)
    assert only[1].strip("+ ") == "return self.b(self.drop(F.relu(self.a(x))))"
    twice = broken.replace("model(x), y", "model(x).detach(), y")
    assert changes("keep-gradient", twice) == []
    assert changes("keep-gradient", FUNCTIONS) == []


@pytest.mark.parametrize(
    "loop",
    [
        "run = lambda i: (F.cross_entropy(model(x[i]), y[i]).backward(), optimizer.step())\n"
        "for i in torch.arange(512).split(32): run(i)\n",
        "for epoch in range(9):\n"
        "    [(F.cross_entropy(model(i), i).backward(), optimizer.step()) for i in batches]\n",
    ],
)
def test_no_line_is_put_beside_a_lambda_or_a_comprehension(loop):
    begin = (
        "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
        "model = nn.Linear(8, 2)\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
    )
    plain = "for i in batches:\n    F.cross_entropy(model(i), i).backward()\n    optimizer.step()\n"
    assert changes("zero-grad", begin + plain)
    assert changes("zero-grad", begin + loop) == []
