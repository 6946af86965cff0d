"""Faults of the loop and of the code, seeded into the text of four scripts.

Each is what somebody might have typed: some places of a script in `plain_scripts/` are written
otherwise. A fault that no patch can mend (only a person knows what was meant) is marked `advice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "plain_scripts"

Edits = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`edits` of `script` (old text, new text), each of which must be found exactly once."""

    script: str
    edits: Edits
    advice: bool = False


def text_of(script: str, edits: Edits = ()) -> str:
    """A script with some places written otherwise."""
    text = (FOLDER / f"{script}.py").read_text(encoding="utf-8")
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"{script}: {old!r} stands there {text.count(old)} times")
        text = text.replace(old, new)
    return text


def scripts() -> list[str]:
    """The scripts as they are: healthy ones."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


_CLEAR = "        optimizer.zero_grad()\n"
_FLAT_LOOP = f"""{_CLEAR}\
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
"""
_STEP = "        loss.backward()\n        optimizer.step()\n"
_SORTED = """\
order = y[:1077].argsort()
train = DataLoader(TensorDataset(x[:1077][order], y[:1077][order]), batch_size=32)
"""
_SHUFFLED = "train = DataLoader(TensorDataset(x[:1077], y[:1077]), batch_size=32, shuffle=True)\n"
_ADAM = "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)"
_SGD = "    optimizer = optim.SGD(model.parameters(), lr=LR, momentum=0.9)\n"
_LAST = "    nn.Linear(64, 10),\n"
_LAYERS = "nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])])"

FAULTS: dict[str, Fault] = {
    # The loop
    "zero-grad-missing": Fault(script="flat", edits=((_CLEAR, ""),)),
    "zero-grad-missing-in-a-function": Fault(script="functions", edits=((_CLEAR, ""),)),
    "zero-grad-missing-in-a-class": Fault(
        script="trainer", edits=(("        self.optimizer.zero_grad()\n", ""),)
    ),
    "zero-grad-missing-while-accumulating": Fault(
        script="accumulating", edits=(("            opt.zero_grad()\n", ""),)
    ),
    "zero-grad-between-backward-and-step": Fault(
        script="flat",
        edits=(
            (
                _FLAT_LOOP,
                _FLAT_LOOP.replace(_CLEAR, "").replace(
                    "        optimizer.step", f"{_CLEAR}        optimizer.step"
                ),
            ),
        ),
    ),
    "step-missing": Fault(script="trainer", edits=(("        self.optimizer.step()\n", ""),)),
    "step-before-backward": Fault(
        script="functions",
        edits=((_STEP, "        optimizer.step()\n        loss.backward()\n"),),
    ),
    "two-steps": Fault(script="functions", edits=((_STEP, f"{_STEP}        optimizer.step()\n"),)),
    "model-rebuilt-after-the-optimizer": Fault(
        script="functions", edits=((_SGD, f"{_SGD}    model = Net()\n"),)
    ),
    "head-exchanged-after-the-optimizer": Fault(
        script="flat", edits=((_ADAM, f"{_ADAM}\nmodel[4] = nn.Linear(64, 10)"),)
    ),
    "optimizer-of-a-copy": Fault(
        script="functions",
        edits=(
            ("import torch\n", "import copy\n\nimport torch\n"),
            (_SGD, f"    best = copy.deepcopy(model)\n{_SGD.replace('model.p', 'best.p')}"),
        ),
    ),
    "optimizer-of-the-head-only": Fault(
        script="trainer", edits=(("self.model.parameters()", "self.model.head.parameters()"),)
    ),
    "eval-never-switched-back": Fault(
        script="functions",
        edits=(
            ("    model.train()\n    total", "    total"),
            ("    model = Net()\n", "    model = Net()\n    model.train()\n"),
        ),
    ),
    "no-eval-where-it-is-scored": Fault(
        script="trainer",
        edits=(("        self.model.eval()\n", ""), ("nn.Dropout(0.1)", "nn.Dropout(0.5)")),
    ),
    "detached-on-the-way": Fault(
        script="functions",
        edits=(("F.relu(self.bn(self.conv1(x)))", "F.relu(self.bn(self.conv1(x))).data"),),
        advice=True,
    ),
    "detached-before-the-head": Fault(
        script="trainer", edits=(("self.head(x)", "self.head(x.detach())"),), advice=True
    ),
    "loss-upside-down": Fault(script="flat", edits=(("loss = loss_fn", "loss = -loss_fn"),)),
    "schedule-with-every-batch": Fault(
        script="functions",
        edits=(
            ("        scheduler.step()\n", ""),
            (_STEP, f"{_STEP}        scheduler.step()\n"),
            ("loader, optimizer):", "loader, optimizer, scheduler):"),
            ("train_loader, optimizer)", "train_loader, optimizer, scheduler)"),
        ),
    ),
    "schedule-before-the-optimizer": Fault(
        script="accumulating",
        edits=(
            (
                "            opt.step()\n            sched.step()\n",
                "            sched.step()\n            opt.step()\n",
            ),
        ),
    ),
    "clipped-to-nothing": Fault(
        script="functions",
        edits=(
            (
                _STEP,
                _STEP.replace(
                    "        optimizer",
                    "        nn.utils.clip_grad_norm_(model.parameters(), 1e-4)\n        optimizer",
                ),
            ),
        ),
    ),
    "loss-kept-with-its-graph": Fault(
        script="trainer", edits=(("append(loss.item())", "append(loss)"),)
    ),
    # Output and loss
    "softmax-before-cross-entropy": Fault(
        script="flat", edits=((_LAST, f"{_LAST}    nn.Softmax(dim=1),\n"),)
    ),
    "softmax-in-the-forward": Fault(
        script="functions", edits=(("        return x\n", "        return F.softmax(x, dim=1)\n"),)
    ),
    "softmax-over-the-batch": Fault(
        script="functions",
        edits=(
            ("        return x\n", "        return F.log_softmax(x, dim=0)\n"),
            ("F.cross_entropy", "F.nll_loss"),
        ),
    ),
    "log-softmax-before-cross-entropy": Fault(
        script="functions",
        edits=(("        return x\n", "        return F.log_softmax(x, dim=1)\n"),),
    ),
    "sigmoid-before-bce-with-logits": Fault(
        script="trainer",
        edits=(
            ("return self.head(x)", "return torch.sigmoid(self.head(x))"),
            ("squeeze(1) > 0)", "squeeze(1) > 0.5)"),
        ),
    ),
    "column-against-row": Fault(
        script="accumulating",
        edits=(
            ("target = target[:, None]\n", ""),
            ("(net(inputs[1280:]) - target", "(net(inputs[1280:]).squeeze(1) - target"),
        ),
    ),
    "labels-from-one": Fault(
        script="flat",
        edits=(('digits["labels"]', 'digits["labels"] + 1'), (_LAST, "    nn.Linear(64, 11),\n")),
    ),
    # Data
    "sorted-and-not-shuffled": Fault(script="flat", edits=((_SHUFFLED, _SORTED),)),
    "pixels-as-they-are": Fault(script="functions", edits=((" / 255.0", " * 1.0"),)),
    "normalised-in-training-only": Fault(
        script="flat",
        edits=(("TensorDataset(x[:1077]", "TensorDataset((x[:1077] - 0.3) / 0.1"),),
        advice=True,
    ),
    # Start and structure
    "all-zero-at-the-start": Fault(
        script="trainer",
        edits=(
            (
                "        self.head = nn.Linear(sizes[-1], 1)\n",
                "        self.head = nn.Linear(sizes[-1], 1)\n"
                "        for p in self.parameters():\n            nn.init.zeros_(p)\n",
            ),
        ),
    ),
    "layers-in-a-plain-list": Fault(
        script="trainer",
        edits=((_LAYERS, _LAYERS.removeprefix("nn.ModuleList(").removesuffix(")")),),
    ),
    "frozen-by-a-forgotten-line": Fault(
        script="functions",
        edits=(
            (
                _SGD,
                f"    for p in model.parameters():\n        p.requires_grad = False\n"
                f"    model.fc.requires_grad_(True)\n{_SGD}",
            ),
        ),
    ),
    # Rate and generalisation
    "rate-a-hundred-times-too-high": Fault(script="flat", edits=(("lr=1e-3", "lr=0.1"),)),
    "rate-far-too-high-for-sgd": Fault(script="functions", edits=(("LR = 0.05", "LR = 5.0"),)),
    "rate-a-hundred-times-too-low": Fault(script="functions", edits=(("LR = 0.05", "LR = 5e-5"),)),
    "rate-too-low-in-a-schedule": Fault(
        script="accumulating", edits=(("max_lr=3e-3", "max_lr=3e-6"),)
    ),
    "dropout-of-nearly-all": Fault(script="flat", edits=(("Dropout(0.2)", "Dropout(0.97)"),)),
    # Two at once
    "zero-grad-missing-and-softmax": Fault(
        script="flat", edits=((_CLEAR, ""), (_LAST, f"{_LAST}    nn.Softmax(dim=1),\n"))
    ),
    "pixels-as-they-are-and-rate-too-high": Fault(
        script="functions", edits=((" / 255.0", " * 1.0"), ("LR = 0.05", "LR = 1.0"))
    ),
    "plain-list-and-no-step": Fault(
        script="trainer",
        edits=(
            (_LAYERS, _LAYERS.removeprefix("nn.ModuleList(").removesuffix(")")),
            ("        self.optimizer.step()\n", ""),
        ),
    ),
    "upside-down-and-sorted": Fault(
        script="flat", edits=(("loss = loss_fn", "loss = -loss_fn"), (_SHUFFLED, _SORTED))
    ),
}
