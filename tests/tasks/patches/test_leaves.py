"""Each patch: a small script before, and the lines that it takes away and adds."""

from __future__ import annotations

import difflib

import pytest

from netwright.core.languages import Phrase
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.tasks.patches import PATCHES, patches_for
from netwright.tasks.source.script import CannotPatchError, Script


def found(name, code="", grade="safe", **values):
    """A finding that names one treatment."""
    return Finding(
        name="x",
        severity="note",
        what=Phrase("x", **values),
        evidence=(Evidence(signal=Phrase("x"), value=1),),
        cause=Phrase("x"),
        wrong_if=Phrase("x"),
        treatments=(Treatment(name=name, grade=grade, why=Phrase("x"), code=code),),
    )


def changes(name, text, code="", **values):
    """For each patch, the lines it changes."""
    script = Script.read(text.encode())
    told = []
    for _, patch in patches_for(script, found(name, code, **values)):
        lines = difflib.ndiff(text.splitlines(), patch.script.text.splitlines())
        told.append([each for each in lines if each[0] in "+-"])
    return told


PLAIN = """\
import torch
import torch.nn as nn
import torch.nn.functional as F

model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(dim=1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
for epoch in range(3):
    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()  # the gradient
        optimizer.step()
"""

CLASSES = """\
import torch
from torch import nn, optim

class Net(nn.Module):
\tdef __init__(self):
\t\tsuper().__init__()
\t\tself.fc = nn.Linear(4, 3)
\t\tself.layers = [nn.Linear(4, 4) for _ in range(3)]
\tdef forward(self, x):
\t\tx = self.fc(x)
\t\treturn torch.softmax(x, 1)

class Trainer:
\tdef __init__(self, lr):
\t\tself.net = Net()
\t\tself.opt = optim.Adam(self.net.parameters(), lr=lr)
\tdef fit(self, batches):
\t\tfor x, y in batches:
\t\t\tloss = nn.functional.nll_loss(self.net(x).log(), y)
\t\t\tloss.backward(); self.opt.step()
"""


def test_gradients_are_cleared_before_the_backward_pass():
    assert changes("zero-grad", PLAIN) == [["+         optimizer.zero_grad()"]]


def test_a_statement_that_shares_its_line_gets_it_before_it():
    text = PLAIN.replace("        loss.backward()  # the gradient\n        optimizer.step()",
                         "        loss.backward(); optimizer.step()")  # fmt: skip
    assert changes("zero-grad", text) == [["+         optimizer.zero_grad()"]]
    text = text.replace("        loss.backward();", "        q = 1; loss.backward();")
    (only,) = changes("zero-grad", text)
    assert "+         q = 1; optimizer.zero_grad(); loss.backward(); optimizer.step()" in only


def test_an_optimizer_that_belongs_to_an_object_is_called_by_its_name():
    assert changes("zero-grad", CLASSES) == [["+ \t\t\tself.opt.zero_grad()"]]


def test_gradients_that_are_cleared_already_stay_as_they_are():
    text = PLAIN.replace(
        "        loss.backward()", "        model.zero_grad()\n        loss.backward()"
    )
    assert changes("zero-grad", text) == []


def test_two_backward_passes_cannot_be_told_apart():
    assert changes("zero-grad", PLAIN + "loss.backward()\n") == []


def test_the_optimizer_of_a_function_is_called_as_its_argument():
    text = """\
import torch
def train(net, data, opt):
    for x, y in data:
        torch.nn.functional.mse_loss(net(x), y).backward()
net = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(net.parameters())
train(net, data, optimizer)
"""
    (only,) = changes("step", text)
    assert only == ["+         opt.zero_grad()", "+         opt.step()"]


def test_clearing_moves_before_the_backward_pass():
    text = PLAIN.replace("        optimizer.step()",
                         "        optimizer.zero_grad()\n        optimizer.step()")  # fmt: skip
    assert changes("clear-before-backward", text) == [
        ["+         optimizer.zero_grad()", "-         optimizer.zero_grad()"]
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Linear(8, 3), nn.Softmax(dim=1))", "nn.Linear(8, 3))"),
        ("nn.Linear(8, 3), nn.Softmax(1),)", "nn.Linear(8, 3),)"),
        ("nn.Linear(8, 3))\nsoft = nn.Softmax(1)", "nn.Linear(8, 3))\nsoft = nn.Identity()"),
    ],
)
def test_a_softmax_at_the_end_of_a_sequential_goes(before, after):
    text = PLAIN.replace("nn.Linear(8, 3), nn.Softmax(dim=1))", before)
    (only,) = patches_for(Script.read(text.encode()), found("remove-softmax"))
    assert only[1].script.text == text.replace(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("criterion(F.softmax(model(x), dim=1), y)", "criterion(model(x), y)"),
        ("criterion(model(x).softmax(-1), y)", "criterion(model(x), y)"),
        ("criterion(torch.softmax(model(x) / 2, 1), y)", "criterion(model(x) / 2, y)"),
        ("F.cross_entropy(nn.Softmax(1)(model(x)), y)", "F.cross_entropy(model(x), y)"),
    ],
)
def test_a_softmax_in_the_call_of_the_loss_goes(before, after):
    text = PLAIN.replace(", nn.Softmax(dim=1)", "").replace("criterion(model(x), y)", before)
    (only,) = patches_for(Script.read(text.encode()), found("remove-softmax"))
    assert only[1].script.text == text.replace(before, after)


def test_a_softmax_that_a_forward_returns_goes():
    assert changes("remove-softmax", CLASSES) == [
        ["- \t\treturn torch.softmax(x, 1)", "+ \t\treturn x"]
    ]


def test_a_softmax_on_a_line_of_its_own_takes_the_line_along():
    text = CLASSES.replace("return torch.softmax(x, 1)", "x = torch.softmax(x, 1)\n\t\treturn x")
    assert changes("remove-softmax", text) == [["- \t\tx = torch.softmax(x, 1)"]]


def test_an_attention_beside_it_is_left_alone():
    text = CLASSES.replace("x = self.fc(x)", "x = x * torch.softmax(self.fc(x), 1)")
    assert changes("remove-softmax", text) == [
        ["- \t\treturn torch.softmax(x, 1)", "+ \t\treturn x"]
    ]


def test_where_predictions_are_held_against_a_half_the_loss_changes_first():
    text = """\
import torch
from torch import nn
model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.BCEWithLogitsLoss()
for x, y in data:
    criterion(model(x), y).backward()
    right = (model(x) > 0.5) == y
"""
    loss, sigmoid = changes("remove-sigmoid", text)
    assert loss[-1] == "+ criterion = nn.BCELoss()"
    assert sigmoid[-1] == "+ model = nn.Sequential(nn.Linear(4, 1))"


def test_the_rate_is_changed_where_it_is_written():
    assert changes("lower-rate", PLAIN)[0][-1] == (
        "+ optimizer = torch.optim.SGD(model.parameters(), lr=0.01)"
    )
    named = PLAIN.replace("lr=0.1", "lr=LR").replace("model = ", "LR = 1e-1  # rate\nmodel = ")
    assert changes("higher-rate", named)[0] == ["- LR = 1e-1  # rate", "+ LR = 1.0  # rate"]
    option = PLAIN.replace("lr=0.1", "lr=args.lr")
    assert changes("lower-rate", option)[0][-1] == (
        "+ optimizer = torch.optim.SGD(model.parameters(), lr=0.1 * args.lr)"
    )
    assert changes("lower-rate", CLASSES)[0][-1].endswith("lr=0.1 * lr)")
    default = PLAIN.replace("SGD(model.parameters(), lr=0.1)", "Adam(model.parameters())")
    assert changes("lower-rate", default)[0][-1].endswith("Adam(model.parameters(), lr=0.0001)")


def test_rates_of_groups_are_left_alone():
    text = PLAIN.replace("model.parameters(), lr=0.1", '[{"params": model.parameters(), "lr": 1}]')
    assert changes("lower-rate", text) == []


def test_the_mode_is_set_at_the_top_of_the_loop_and_before_evaluation():
    text = PLAIN + "    with torch.no_grad():\n        print(model(x))\n"
    assert changes("set-mode", text) == [["+     model.train()", "+     model.eval()"]]
    inner = PLAIN + "        model.eval()\n"
    assert changes("set-mode", inner) == [["+         model.train()"]]
    again = text.replace("    for x", "    model.train()\n    for x")
    assert changes("set-mode", again) == [["+     model.eval()"]]


def test_the_optimizer_is_made_behind_the_last_change_of_the_model():
    text = PLAIN.replace("criterion =", "sched = torch.optim.lr_scheduler.StepLR(optimizer, 1)\n"
                         "model[2] = nn.Linear(8, 5)\ncriterion =")  # fmt: skip
    (only,) = patches_for(Script.read(text.encode()), found("rebuild-optimizer"))
    lines = only[1].script.text.splitlines()
    assert [each.partition(" ")[0] for each in lines[4:9]] == [
        "model", "model[2]", "optimizer", "sched", "criterion"
    ]  # fmt: skip


def test_an_optimizer_of_a_part_gets_the_whole():
    text = PLAIN.replace("model.parameters()", "model[2].parameters()")
    assert changes("rebuild-optimizer", text.replace("[2]", ".head"))[0][-1] == (
        "+ optimizer = torch.optim.SGD(model.parameters(), lr=0.1)"
    )


LOADERS = """
train = torch.utils.data.DataLoader(data, batch_size=8, shuffle=False)
test = torch.utils.data.DataLoader(other, 8)
"""


def test_the_training_data_are_shuffled_and_no_others():
    text = PLAIN.replace("in loader", "in train").replace("\nmodel", LOADERS + "\nmodel", 1)
    assert changes("shuffle", text)[0][-1].startswith("+ train") is True
    assert [e for e in changes("shuffle", text)[0] if "test" in e] == []
    assert changes("drop-last", text)[0][-1].endswith("shuffle=False, drop_last=True)")


def test_targets_are_shaped_shifted_and_cast():
    named = "out = model(x)\n        loss = criterion(out, y)"
    text = PLAIN.replace("loss = criterion(model(x), y)", named)
    assert changes("same-shape", text)[0][-1].endswith("criterion(out, y.view_as(out))")
    assert changes("same-shape", PLAIN, output="(8, 1)")[0][-1].endswith("model(x).squeeze(1), y)")
    assert changes("shift-labels", text)[0][-1].endswith("criterion(out, y - 1)")
    assert changes("cast-target", text, "target = target.long()")[0][-1].endswith("y.long())")


def test_inputs_are_standardised_before_the_first_layer():
    code = "model = nn.Sequential(nn.BatchNorm1d(4, affine=False), model)"
    text = PLAIN + "model.eval()\n"
    assert changes("standardise-input", text, code)[0][-1] == (
        "+ model = nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 8), nn.ReLU(), "
        "nn.Linear(8, 3), nn.Softmax(dim=1))"
    )
    built = text.replace(
        "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(dim=1))", "Net()"
    )
    assert changes("standardise-input", built, code) == [
        ["+ model = nn.Sequential(nn.BatchNorm1d(4, affine=False), model)"]
    ]


def test_weights_are_drawn_before_the_optimizer_is_made():
    (lines, *_) = changes("matched-initialiser", PLAIN)
    assert lines == [
        "+ for layer in model.modules():",
        "+     if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):",
        '+         nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")',
        "+         if layer.bias is not None:",
        "+             nn.init.zeros_(layer.bias)",
    ]


def test_hidden_sigmoids_become_relus_and_the_last_stays():
    text = PLAIN.replace("nn.ReLU()", "nn.Sigmoid()").replace("nn.Softmax(dim=1)", "nn.Sigmoid()")
    (first, second, *_) = changes("activation-and-start", text)
    assert first[1].endswith("nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid())")
    assert "+ optimizer = torch.optim.SGD(model.parameters(), lr=0.03)" in second


def test_one_line_mends_of_the_loop():
    assert changes("clip", PLAIN)[0] == [
        "+         nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
    ]
    twice = PLAIN + "        optimizer.step()\n"
    assert changes("once", twice) == [["-         optimizer.step()"]]
    minus = PLAIN.replace("= criterion(", "= -criterion(")
    assert changes("flip-sign", minus)[0][-1] == "+         loss = criterion(model(x), y)"
    minus = PLAIN.replace("loss.backward()", "(-loss).backward()")
    assert changes("flip-sign", minus)[0][-1].startswith("+         loss.backward()")
    upward = PLAIN.replace("lr=0.1", "lr=0.1, maximize=True")
    assert changes("flip-sign", upward)[0][-1].endswith("lr=0.1)")
    total = PLAIN + "        total += loss\n        seen.append(loss)\n"
    assert [e for e in changes("keep-the-number", total)[0] if e[0] == "+"] == [
        "+         total += loss.item()", "+         seen.append(loss.item())"
    ]  # fmt: skip
    assert changes("unfreeze", PLAIN) == [["+ model.requires_grad_(True)"]]


def test_the_loss_that_fits():
    text = PLAIN.replace("CrossEntropyLoss", "MSELoss").replace(
        "model(x), y)", "model(x), y.float())"
    )
    (only,) = changes("right-loss", text, "loss = F.cross_entropy(logits, target)")
    assert [e for e in only if e[0] == "+"] == [
        "+ criterion = nn.CrossEntropyLoss()", "+         loss = criterion(model(x), y)"
    ]  # fmt: skip


def test_schedules_and_settings():
    inner = PLAIN + "        scheduler.step()\n"
    assert changes("step-once-an-epoch", inner) == [
        ["-         scheduler.step()", "+     scheduler.step()"]
    ]
    outer = PLAIN + "    scheduler.step()\n"
    assert changes("step-with-every-batch", outer) == [
        ["-     scheduler.step()", "+         scheduler.step()"]
    ]
    betas = PLAIN.replace(
        "SGD(model.parameters(), lr=0.1)", "Adam(model.parameters(), lr=0.1, betas=(0.1, 0.1))"
    )
    assert changes("usual-betas", betas)[0][-1].endswith("Adam(model.parameters(), lr=0.1)")
    assert changes("adam", PLAIN)[0][-1].endswith("Adam(model.parameters(), lr=1e-3)")
    assert changes("more-epochs", PLAIN)[0][-1] == "+ for epoch in range(9):"


def test_lists_of_layers_become_layers():
    assert changes("module-list", CLASSES)[0][-1] == (
        "+ \t\tself.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", PATCHES.names())
def test_every_patch_keeps_all_other_bytes_and_is_not_made_twice(name, end):
    """Line ends, a byte order mark, letters that are not ASCII, and no line end at the last."""
    text = "\ufeff# ¿naïve? 你好\n" + PLAIN + "# ende"
    data = text.replace("\n", end).encode()
    script = Script.read(data)
    assert script.data == data
    code = {
        "right-loss": "loss = F.mse_loss(output, target)",
        "standardise-input": "BatchNorm1d(4,",
        "cast-target": "target = target.long()",
    }
    finding = found(name, code.get(name, ""))
    for _, patch in patches_for(script, finding):
        patched = patch.script.data
        assert patched.startswith("\ufeff# ¿naïve? 你好".encode() + end.encode())
        assert patched.endswith(b"# ende")
        assert patched.count(b"\n") == patched.count(end.encode())
        if name in ONCE:
            assert patches_for(patch.script, finding) == []


ONCE = {
    "zero-grad", "step", "clear-before-backward", "remove-softmax", "set-mode", "shuffle", "clip",
    "rebuild-optimizer", "drop-last", "shift-labels", "cast-target", "unfreeze", "adam",
    "random-initialiser", "right-loss", "standardise-input", "keep-the-number", "once",
    "keep-gradient", "weaken",
}  # fmt: skip
"""Patches that a script needs one time only; rates may be lowered again."""


@pytest.mark.parametrize("data", [b"x = (", b"\xff", b"x\0", b"a = 1\rb = 2", b"# coding: nope\n"])
def test_what_is_no_source_is_refused(data):
    with pytest.raises(CannotPatchError):
        Script.read(data)


def test_a_script_keeps_its_encoding():
    data = "# coding: latin-1\nx = 'é'; y = 1\n".encode("latin-1")
    script = Script.read(data)
    edit = script.replaced(script.tree.body[1].value, "2")
    assert script.edited([edit]).data == data.replace(b"y = 1", b"y = 2")
