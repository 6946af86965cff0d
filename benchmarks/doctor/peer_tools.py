"""Other tools around a loop, each used as its own documents say."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from peer_meanings import MEANS, Message, judged
from torch import Tensor


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
