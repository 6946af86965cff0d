"""The same runs under other tools, in an environment of their own.

    PYTHONPATH=src peers/bin/python benchmarks/doctor/peers.py [--part held-out] [--tool NAME]

The environment is made once; no torchvision is needed, and none may be there:

    python3.11 -m venv peers
    peers/bin/pip install torch==2.13.0 numpy "setuptools<80"
    peers/bin/pip install torchtest2 torchmortem torch-audit training-doctor
    peers/bin/pip install --no-deps backpack-for-pytorch cockpit-for-pytorch
    peers/bin/pip install einops json_tricks matplotlib seaborn scipy tqdm unfoldNd
    peers/bin/pip install pillow safetensors pyyaml pydantic "cyclopts<6"

with the torch that Netwright has here; the last line is what Netwright's data need. One line for
each finished cell goes into `doctor-peers.jsonl` (`doctor-held-out-peers.jsonl`), and `table.py`
puts them beside Netwright's.

Each tool is used as its own documents say, at its own defaults, with all that it asks for: model,
optimizer, loss and a batch for torchtest2; the loss after each step for torchmortem; every tenth
step for torch-audit, whose default of 1,000 would see none here; loss, rate, gradient norm and
validation loss for training-doctor. Cockpit shows instruments and gives no verdict: what no reader
could overlook is written down in `cockpit_`. What they say is translated by `MEANS`, generously:
a message that several faults can cause is a right answer for each of them.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from children import answers  # noqa: E402
from run import LIMIT, SEEDS, sample, tasks, told  # noqa: E402
from split import Part  # noqa: E402
from torch import Tensor  # noqa: E402

from cells import Cells, machine  # noqa: E402

START = ("weights-too-large", "weights-too-small", "saturated-at-start", "dead-at-start")
CUT = ("detached-graph", "loss-ignores-parameters", "unused-parameters", "frozen-parameters")
HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients", "oscillating-loss")
SLOW = ("learning-rate-too-low", "slow-convergence", "loss-plateau", "stopped-early",
        "underfitting", "clipping-every-step", "scheduler-misuse", "weak-optimizer")  # fmt: skip

MEANS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "torchtest2": {
        "forward": ("label-dtype", "labels-out-of-range", "labels-shifted", "nonfinite-input"),
        "output_shape": ("silent-broadcast",),
        "output_finite": ("nonfinite", "nonfinite-input", "weights-too-large"),
        "output_range": ("output-activation-mismatch",),
        "output_varies": ("constant-output", "constant-input", "dead-at-start",
                          "symmetric-initialisation"),
        "eval_determinism": ("wrong-mode",),
        "loss": ("loss-mismatch", "silent-broadcast", "label-dtype", "labels-out-of-range",
                 "labels-shifted", "nonfinite", "nonfinite-input", *CUT),
        "initial_loss": ("initial-loss-off", "weights-too-large", "loss-mismatch", "loss-sign",
                         "unscaled-target", "unscaled-input", "softmax-before-cross-entropy"),
        "optimizer_coverage": ("stale-optimizer", "frozen-parameters", "unregistered-parameters"),
        "gradient_flow": (*CUT, "vanishing-gradients", "dead-at-start", "dead-relu",
                          "symmetric-initialisation", "saturated-at-start"),
        "gradient_magnitude": ("exploding-gradients", "vanishing-gradients", "unscaled-input",
                               "unscaled-target", *START),
        "params_change": ("weights-do-not-change", "stale-optimizer", "frozen-parameters",
                          "learning-rate-too-low", *CUT),
        "frozen_params": ("frozen-parameters",),
        "input_dependency": ("constant-output", "constant-input", "dead-at-start",
                             "symmetric-initialisation"),
        "batch_independence": ("batch-mixing", "wrong-dimension"),
        "overfit_batch": ("softmax-before-cross-entropy", "sigmoid-before-bce-with-logits",
                          "output-activation-mismatch", "loss-mismatch", "silent-broadcast",
                          "missing-nonlinearity", "too-little-capacity", "bottleneck",
                          "symmetric-initialisation", "unscaled-input", "unscaled-target",
                          "labels-inconsistent", "batchnorm-on-output", "over-regularised",
                          "vanishing-gradients", "constant-output", "wrong-dimension", "loss-sign",
                          *START, *SLOW, *HIGH, *CUT),
    },
    "torchmortem": {
        "dead_units": ("dead-relu", "dead-at-start", "dead-filters", "symmetric-initialisation"),
        "gradient_flow: vanishing": ("vanishing-gradients", *START),
        "gradient_flow: exploding": ("exploding-gradients", *START, *HIGH),
        "gradient_flow: stalling": ("vanishing-gradients", "frozen-parameters", *CUT),
        "gradient_noise": ("noisy-gradients", "label-noise", "labels-inconsistent"),
        "loss_dynamics: divergence": (*HIGH, "nonfinite", "loss-sign", "loss-spike"),
        "loss_dynamics: plateau": (*SLOW, "weights-do-not-change", "optimizer-never-steps"),
        "loss_dynamics: catapult": (*HIGH, "loss-spike"),
        "rank_collapse": ("bottleneck", "symmetric-initialisation", "constant-output"),
        "saturation": ("saturation", "saturated-at-start", "unscaled-input"),
        "update_ratio: low": (*SLOW, "weights-do-not-change", "frozen-parameters"),
        "update_ratio: high": (*HIGH, "weights-too-small"),
        "weight_norm: explosion": (*HIGH, "weights-too-large", "internal-drift"),
        "weight_norm: stagnant": (*SLOW, "weights-do-not-change", "optimizer-never-steps",
                                  "stale-optimizer"),
        "weight_norm: imbalance": START,
    },
    "torch-audit": {
        "TA100": ("nonfinite", "nonfinite-input", *HIGH),
        "TA102": ("exploding-gradients", "unscaled-target", "unscaled-input", *HIGH),
        "TA103": ("dead-relu", "dead-at-start", "symmetric-initialisation", *CUT),
        "TA104": (*CUT, "weights-do-not-change"),
        "TA105": ("dead-relu", "dead-at-start"),
        "TA301": ("unscaled-input",),
        "TA302": ("constant-input", "dead-feature"),
        "TA303": ("batch-mixing",),
        "TA304": ("batchnorm-small-batch",),
        "TA305": ("nonfinite-input", "labels-out-of-range"),
        "TA400": ("bias-before-batchnorm",),
        "TA402": ("decay-on-norm-and-bias",),
        "TA403": ("decay-on-norm-and-bias",),
        "TA405": ("dead-filters", "symmetric-initialisation"),
        "TA500": ("unused-parameters", "missing-nonlinearity"),
        "TA501": ("unused-parameters",),
    },
    "training-doctor": {
        "lr_too_high": (*HIGH, "loss-spike", "nonfinite"),
        "lr_too_low": SLOW,
        "plateau": (*SLOW, "softmax-before-cross-entropy", "dead-relu"),
        "early_plateau": (*SLOW, "softmax-before-cross-entropy", "dead-relu", "dead-at-start",
                          "labels-inconsistent", "weights-do-not-change", "optimizer-never-steps",
                          "symmetric-initialisation"),
        "overfitting": ("overfitting", "too-much-capacity", "memorised-noise", "label-noise"),
        "train_eval_mismatch": ("wrong-mode", "inconsistent-preprocessing", "distribution-shift",
                                "labels-inconsistent", "split-leakage"),
        "gradient_instability": ("exploding-gradients", "noisy-gradients", "loss-spike", *HIGH),
        "mixed_precision_instability": ("mixed-precision-trouble", "nonfinite"),
    },
    "cockpit": {
        "loss not finite": ("nonfinite", "nonfinite-input", *HIGH),
        "update size zero": ("weights-do-not-change", "optimizer-never-steps", "stale-optimizer"),
        "gradient norm zero": ("dead-relu", "dead-at-start", "symmetric-initialisation", *CUT),
        "gradient norm grown a hundredfold": ("exploding-gradients", *HIGH),
    },
}  # fmt: skip
"""What a message of a tool can mean, in the names of Netwright's conditions."""

PACKAGES = {
    "torchtest2": "torchtest2",
    "torchmortem": "torchmortem",
    "torch-audit": "torch-audit",
    "training-doctor": "training-doctor",
    "cockpit": "cockpit-for-pytorch",
}

Message = tuple[str, str, str, int]
"""Key in `MEANS`, severity, text, step."""


class Heard:
    """What happens in a loop, for tools that want to be told: each step with its loss."""

    def __init__(self, optimizers: Sequence[Any], model: Any) -> None:
        self.optimizers, self.model = optimizers, model
        self.loss = math.nan
        self.step = 0
        self.validation: list[float] = []
        self.trouble = ""
        self.on_step: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        backward = torch.autograd.backward
        losses = {
            name: getattr(F, name)
            for name in (
                "cross_entropy",
                "mse_loss",
                "binary_cross_entropy_with_logits",
                "nll_loss",
            )
        }

        def told_backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            first = tensors if isinstance(tensors, Tensor) else tensors[0]
            if first.numel() == 1:
                self.loss = float(first.detach())
            return backward(tensors, *args, **kwargs)

        def told_loss(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
            def loss(*args: Any, **kwargs: Any) -> Tensor:
                value = plain(*args, **kwargs)
                if not torch.is_grad_enabled() and value.numel() == 1:
                    self.validation.append(float(value))
                return value

            return loss

        def after(*_: Any) -> None:
            self.step += 1
            if not self.trouble:
                try:
                    self.on_step()
                except Exception as error:
                    self.trouble = f"{type(error).__name__}: {error}"[:150]

        ends = [self.optimizers[0].register_step_post_hook(after)]
        torch.autograd.backward = told_backward
        for name, plain in losses.items():
            setattr(F, name, told_loss(plain))
        try:
            yield
        finally:
            torch.autograd.backward = backward
            for name, plain in losses.items():
                setattr(F, name, plain)
            for end in ends:
                end.remove()

    @property
    def gradient_norm(self) -> float:
        norms = [each.grad.norm() for each in self.model.parameters() if each.grad is not None]
        return float(torch.stack([each.float() for each in norms]).norm()) if norms else 0.0


Tool = Callable[[Any, list[Any], Any, Any, Heard, list[Message]], Any]
"""A context around a loop: model, optimizers, loss, batch, what is heard, and where to say it."""


@contextlib.contextmanager
def torchtest2_(
    model: Any, optimizers: list[Any], loss: Any, batch: Any, heard: Heard, said: list[Message]
) -> Iterator[None]:
    import torchtest2

    if loss is not None and batch is not None:
        x, y = batch
        report = torchtest2.check_model(
            model, x.clone(), y.clone(), loss_fn=loss, optimizer=optimizers[0]
        )
        for each in report.results:
            severity = {"FAIL": "stop", "WARN": "warn"}.get(each.status.value)
            if severity:
                said.append((each.name, severity, each.message, 0))
    yield


@contextlib.contextmanager
def torchmortem_(
    model: Any, optimizers: list[Any], loss: Any, batch: Any, heard: Heard, said: list[Message]
) -> Iterator[None]:
    from torchmortem import Autopsy

    autopsy = Autopsy(model, optimizer=optimizers[0])
    autopsy._atexit_registered = True  # it would write a report into the working folder
    heard.on_step = lambda: autopsy.step(loss=heard.loss)
    try:
        with autopsy:
            yield
    finally:
        autopsy._report_generated = True
        severity = {"CRITICAL": "stop", "WARNING": "warn", "INFO": "note"}
        for each in autopsy._report.findings if autopsy._report else ():
            title = each.title.lower()
            word = next(
                (
                    word
                    for word in (
                        "vanishing", "exploding", "stalling", "divergence", "plateau", "catapult",
                        "low", "high", "explosion", "stagnant", "imbalance",
                    )
                    if word in title
                ),
                "",
            )  # fmt: skip
            key = f"{each.category}: {word}"
            key = key if key in MEANS["torchmortem"] else each.category
            said.append(
                (key, severity.get(each.severity.name, "warn"), each.title, each.step_range[0])
            )


@contextlib.contextmanager
def torch_audit_(
    model: Any, optimizers: list[Any], loss: Any, batch: Any, heard: Heard, said: list[Message]
) -> Iterator[None]:
    from torch_audit import autopatch

    auditor = autopatch(
        model, optimizer=optimizers[0], every_n_steps=10, suppress_internal_errors=True
    )
    try:
        yield
    finally:
        auditor.unpatch()
        severity = {"FATAL": "stop", "ERROR": "stop", "WARN": "warn", "INFO": "note"}
        for each in auditor.finish().findings:
            said.append((each.rule_id, severity[each.severity.value], each.message, each.step or 0))


@contextlib.contextmanager
def training_doctor_(
    model: Any, optimizers: list[Any], loss: Any, batch: Any, heard: Heard, said: list[Message]
) -> Iterator[None]:
    from training_doctor import Doctor

    doctor = Doctor()
    severity = {"critical": "stop", "warning": "warn", "info": "note"}

    def step() -> None:
        facts = {
            "loss": heard.loss,
            "lr": float(optimizers[0].param_groups[0]["lr"]),
            "grad_norm": heard.gradient_norm,
        }
        if heard.validation:
            facts["eval_loss"] = sum(heard.validation) / len(heard.validation)
            heard.validation.clear()
        for each in doctor.log(heard.step, **facts):
            said.append(
                (each.detector_name, severity[each.severity.value], each.problem, heard.step)
            )

    heard.on_step = step
    yield


@contextlib.contextmanager
def cockpit_(
    model: Any, optimizers: list[Any], loss: Any, batch: Any, heard: Heard, said: list[Message]
) -> Iterator[None]:
    """Cockpit's own quantities of loss, gradient and update, of each tenth step."""
    from cockpit import Cockpit, quantities
    from cockpit.utils.schedules import linear

    often = linear(interval=10)
    panel = Cockpit(
        [each for each in model.parameters() if each.requires_grad],
        quantities=[
            kind(track_schedule=often)
            for kind in (quantities.Loss, quantities.GradNorm, quantities.UpdateSize)
        ],
    )
    plain, count = torch.autograd.backward, [0]

    def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        first = tensors if isinstance(tensors, Tensor) else tensors[0]
        info = {"batch_size": 64, "loss": first, "optimizer": optimizers[0]}
        if heard.trouble:
            return plain(tensors, *args, **kwargs)
        try:
            with panel(count[0], info=info):
                done = plain(tensors, *args, **kwargs)
        except Exception as error:
            heard.trouble = f"{type(error).__name__}: {error}"[:150]
            return plain(tensors, *args, **kwargs)
        count[0] += 1
        return done

    torch.autograd.backward = backward
    try:
        yield
    finally:
        torch.autograd.backward = plain
        output = panel.get_output()
        norms: list[tuple[int, float]] = []
        for step, values in sorted(output.items()):
            if "Loss" in values and not math.isfinite(float(values["Loss"])):
                said.append(("loss not finite", "warn", "the loss is not finite", step))
            update = values.get("UpdateSize")
            if update is not None and math.fsum(map(float, update)) == 0:
                said.append(("update size zero", "warn", "no parameter was changed", step))
            if "GradNorm" in values:
                norms.append((step, math.hypot(*map(float, values["GradNorm"]))))
        if norms and norms[-1][1] == 0:
            said.append(("gradient norm zero", "warn", "the gradient is zero", norms[-1][0]))
        if norms and norms[0][1] > 0:
            for step, norm in norms:
                if norm > 100 * norms[0][1]:
                    text = "the gradient is a hundred times what it was"
                    said.append(("gradient norm grown a hundredfold", "warn", text, step))
                    break


TOOLS: Mapping[str, Tool] = {
    "torchtest2": torchtest2_,
    "torchmortem": torchmortem_,
    "torch-audit": torch_audit_,
    "training-doctor": training_doctor_,
    "cockpit": cockpit_,
}


class Peer:
    """A tool around a loop, and what it said in the names of conditions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: dict[str, Any] = {}

    @contextlib.contextmanager
    def __call__(
        self, model: Any, optimizer: Any, *, loss: Any = None, batch: Any = None
    ) -> Iterator[None]:
        optimizers = optimizer if isinstance(optimizer, list) else [optimizer]
        heard, messages, troubles = Heard(optimizers, model), [], []
        tool: Any = TOOLS[self.name](model, optimizers, loss, batch, heard, messages)
        with heard.listening():
            # A tool that fails leaves the run alone.
            try:
                tool.__enter__()
            except Exception as error:
                troubles.append(f"{type(error).__name__}: {error}"[:150])
                tool = None
            try:
                yield
            finally:
                try:
                    if tool is not None:
                        tool.__exit__(None, None, None)
                except Exception as error:
                    troubles.append(f"{type(error).__name__}: {error}"[:150])
                self.said = {
                    **judged(self.name, messages),
                    "steps": heard.step,
                    "fault": "; ".join(filter(None, [*troubles, heard.trouble])),
                }


def judged(tool: str, messages: Sequence[Message]) -> dict[str, Any]:
    """One finding for each message, the worst first; `means` are the conditions it can stand for.

    A message is right where one of those is a right answer for the run. One that means none of them
    is about speed or style, as of tensor cores on a processor, and counts as a note.
    """
    order = {"stop": 0, "warn": 1, "note": 2}
    findings, first = [], {}
    seen: set[str] = set()
    for key, severity, text, step in sorted(messages, key=lambda each: order[each[1]]):
        if key in seen:
            continue
        seen.add(key)
        means = list(MEANS[tool].get(key, ()))
        if not means:  # about speed or style: no alarm here
            severity = "note"
        findings.append(
            {"name": key, "severity": severity, "step": step, "what": text, "means": means}
        )
        for name in means:
            first.setdefault(name, step)
    return {"findings": findings, "first": first}


def versions() -> dict[str, str]:
    found = {}
    for tool, package in PACKAGES.items():
        try:
            found[tool] = version(package)
        except PackageNotFoundError:
            found[tool] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("tune", "held-out"), default="tune")
    parser.add_argument("--tool", choices=tuple(TOOLS), action="append", help="this one only")
    parser.add_argument("--quick", action="store_true", help="the fixed sample of run.py")
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--seeds", type=int, help="seeds of each fault")
    parser.add_argument("--healthy-seeds", type=int, help="seeds of each healthy run")
    parser.add_argument("--setups", type=int, help="of each fault the first few set-ups only")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="begin no cell after that")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    part: Part = given.part
    setup = {**machine(), "threads": 1, "torch": version("torch"), "part": part, **versions()}
    print(json.dumps(setup), flush=True)
    seeds, healthy_seeds = SEEDS[part]
    wanted = tasks(
        part,
        seeds=given.seeds or seeds,
        healthy_seeds=given.healthy_seeds or healthy_seeds,
        setups=given.setups,
    )
    wanted = [each for each in (sample(wanted) if given.quick else wanted) if given.only in each[0]]
    name = "doctor" if part == "tune" else "doctor-held-out"
    cells = Cells(given.out / f"{name}-peers.jsonl", setup, fresh=given.fresh)
    stop = time.monotonic() + 60 * given.minutes if given.minutes else None
    besides = {}

    def left() -> Iterator[tuple[str, Callable[[], Mapping[str, Any]]]]:
        for run, work, args, facts in wanted:
            for tool in given.tool or TOOLS:
                cell = f"{tool}: {run}"
                if cell not in cells and (stop is None or time.monotonic() < stop):
                    besides[cell] = facts
                    yield cell, functools.partial(work, *args, tool=functools.partial(Peer, tool))

    for cell, answer in answers(left(), jobs=given.jobs, seconds=LIMIT):
        line = {**besides[cell], **answer}
        cells.add(cell, line)
        print(told(cell, line), flush=True)


if __name__ == "__main__":
    main()
