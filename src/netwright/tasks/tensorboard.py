"""TensorBoard: a listener that turns the events of a run into event files, RUN/tensorboard/.

    scalars      every number of metrics.jsonl, under its name; of single steps under step/NAME
    histograms   weights/NAME and gradients/NAME, at each evaluation
    images       first-batch, filters/LAYER at each evaluation, worst-mistakes at the end
    graph, text  the network; config.yaml; the verdict
    hparams      the settings, with final/METRIC of the weights that are kept

Nothing here draws from a generator or touches what is trained: the weights of a run are the same
to a bit with it and without it. These files are a by-product. When the disk refuses them, that is
said once and the run goes on without them (what a run cannot do without ends it with exit 6).

Imported only when `run.tensorboard` is on: it needs the extra `[track]`.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit import TracingCheckError  # type: ignore[attr-defined]
from torch.utils.tensorboard import summary
from torch.utils.tensorboard._pytorch_graph import graph as graph_of  # add_graph, without a file

from netwright.core import events as e
from netwright.core.errors import ExhaustedError
from netwright.core.languages import Phrase
from netwright.inspection.filters import first_convolution
from netwright.records.arrays import Array
from netwright.records.run import Run
from netwright.report.judgement import judge
from netwright.report.material import Material
from netwright.report.tiles import enlarged, filter_tiles, montage
from netwright.report.words import together
from netwright.train.event_files import EventFile, event_files
from netwright.train.run_folder import RunFolder
from netwright.train.task import Rhythm

# TensorBoard keeps 1,000 points of a curve and draws histograms with 30 bins.
_POINTS = 1000
_BINS = 30

# Of a larger tensor evenly spaced values are counted: NumPy takes 1 ms for as many, whatever the
# size of the network.
_COUNTED = 2**16

# TensorBoard blurs tiles of fewer pixels.
_SIDE = 48

# What tracing a network that it cannot follow has been seen to raise.
_UNTRACEABLE = (
    RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, AssertionError,
    TracingCheckError,
)  # fmt: skip


class TensorBoard:
    """Listens to one run; `folder` is its run folder, `settings` are dotted names and values."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        model: nn.Module,
        rhythm: Rhythm,
        shape: tuple[int, int, int],
        settings: Mapping[str, Any],
        events: e.Events,
    ) -> None:
        self.folder = folder
        self.model = model
        self.rhythm = rhythm
        self.shape = shape
        self.settings = settings
        self.seconds = 0.0
        """What listening has cost so far."""
        self._events = events
        self._file: EventFile | None = None
        self._every = max(1, rhythm.steps // _POINTS)
        self._newest = -1
        self._gradients: dict[str, Tensor] = {}
        self._hooks: list[Any] = []
        self._first_filters = first_convolution(model)

    def __call__(self, event: e.Event) -> None:
        started = time.perf_counter()
        try:
            if isinstance(event, e.RunStarted):
                self._start(event.step)
            elif self._file is not None:
                self._go_on(self._file, event)
        except ExhaustedError as error:
            self._give_up(error)
        self.seconds += time.perf_counter() - started

    def _start(self, step: int) -> None:
        place = self.folder.path / "tensorboard"
        begun = bool(event_files(place))
        file = self._file = EventFile(place)
        self._newest = step
        # A run that starts anew forgets all; one that goes on what came after its checkpoint.
        file.forget_from(step + 1 if step else 0)
        if not (begun and step):
            self._introduce(file)
            self._catch_up(file, step)
            self._picture_filters(file, step)
        file.flush()
        self._catch_gradients(step)

    def _go_on(self, file: EventFile, event: e.Event) -> None:
        if isinstance(event, e.StepEnded):
            if event.step <= self._newest:  # the loop went back to a checkpoint
                file.forget_from(event.step)
            self._newest = event.step
            if event.step % self._every == 0:
                for name, value in event.values.items():
                    self._scalar(file, f"step/{name}", float(value), event.step)
            self._catch_gradients(event.step)
        elif isinstance(event, e.Measured):
            for name, value in event.metrics.items():
                self._scalar(file, name, value, event.step)
            self._picture_weights(file, event.step)
            self._picture_filters(file, event.step)
            file.flush()
            self._let_gradients_go()
            self._catch_gradients(event.step)
        elif isinstance(event, e.CheckpointSaved):
            file.flush()  # a run that goes on from there finds everything up to it
        elif isinstance(event, e.RunEnded):
            self._let_gradients_go()
            self._conclude(file, event)
            file.flush()
            self._events.emit(
                e.Noted(
                    word="NOTE",
                    template="Writing for TensorBoard took {seconds:.2f} s. Look at it with:  "
                    "tensorboard --logdir {path}",
                    values={"seconds": self.seconds, "path": str(file.path.parent)},
                )
            )

    def _give_up(self, error: ExhaustedError) -> None:
        self._file = None
        self._let_gradients_go()
        self.folder.log(f"TensorBoard is given up: {error}")
        reason = Phrase(error.template, **error.values)
        self._events.emit(
            e.Noted(
                word="WARN",
                template="TensorBoard gets no more of this run, which goes on without it: {reason}",
                values={"reason": reason},
            )
        )

    # What is written, and when.

    def _introduce(self, file: EventFile) -> None:
        """What is known before the first step."""
        run = Run(self.folder.path)
        file.add_summary(summary.text("config", _verbatim(run.config_text)), 0)
        images = (run.first_batch() or {}).get("images")
        if images is not None:
            self._image(file, "first-batch", montage(enlarged(images, _SIDE), columns=8), 0)
        try:
            file.add_graph(_graph(self.model, self.shape))
        except _UNTRACEABLE as error:
            self._events.emit(
                e.Noted(
                    word="NOTE",
                    template="TensorBoard shows no graph of this network: it cannot be traced "
                    "({reason}).",
                    values={"reason": _first_line(error)},
                )
            )

    def _catch_up(self, file: EventFile, step: int) -> None:
        """The curve so far of a run that goes on, when TensorBoard is new to it."""
        for line in Run(self.folder.path).metrics if step else ():
            for name, value in line.items():
                if "/" in name and int(line["step"]) <= step:
                    self._scalar(file, name, value, int(line["step"]))

    def _scalar(self, file: EventFile, name: str, value: float | None, step: int) -> None:
        """A curve's point; what was measured and is no number shows as a gap with a mark."""
        file.add_summary(summary.scalar(name, math.nan if value is None else value), step)

    def _image(self, file: EventFile, name: str, pixels: Array, step: int) -> None:
        file.add_summary(summary.image(name, pixels, dataformats="HWC"), step)

    def _picture_weights(self, file: EventFile, step: int) -> None:
        for name, parameter in self.model.named_parameters():
            _add_histogram(file, f"weights/{name}", parameter, step)
            if name in self._gradients:
                _add_histogram(file, f"gradients/{name}", self._gradients[name], step)

    def _picture_filters(self, file: EventFile, step: int) -> None:
        if self._first_filters is not None:
            name, layer = self._first_filters
            tiles = filter_tiles(layer.weight.detach().float().cpu().numpy())
            self._image(file, f"filters/{name}", montage(enlarged(tiles, _SIDE), columns=8), step)

    def _conclude(self, file: EventFile, event: e.RunEnded) -> None:
        run = Run(self.folder.path)
        material = Material(run)
        verdict = together([*([event.why] if event.status != "done" else []), *judge(material)])
        file.add_summary(summary.text("verdict", verdict), event.step)
        for evidence in material.evidence[:1]:
            if evidence.worst:
                images = np.stack([each.image for each in evidence.worst])
                self._image(
                    file, "worst-mistakes", montage(enlarged(images, _SIDE), columns=8), event.step
                )
        if event.status != "done":
            return
        final = {
            f"final/{evidence.split}/acc1": float(evidence.accuracy)
            for evidence in material.evidence
            if evidence.accuracy is not None
        }
        if run.best is not None:
            final["final/best " + run.best["metric"]] = float(run.best["value"])
        for each in summary.hparams(_plain(self.settings), final):
            file.add_summary(each, event.step)
        for name, value in final.items():
            self._scalar(file, name, value, event.step)

    # Gradients are gone when an evaluation comes; they are caught in the step before it.

    def _catch_gradients(self, step: int) -> None:
        """Listen to the next step's gradients if it is the one before an evaluation."""
        due = (step + 1) % self.rhythm.evaluate_every == 0 or step + 1 == self.rhythm.steps
        if not due or self._hooks:
            return
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                hook = parameter.register_post_accumulate_grad_hook(self._keeper(name))
                self._hooks.append(hook)

    def _keeper(self, name: str) -> Any:
        def keep(parameter: Tensor) -> None:
            if parameter.grad is not None:
                self._gradients[name] = _some(parameter.grad.detach()).clone()

        return keep

    def _let_gradients_go(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._gradients = {}


def _graph(model: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The network as TensorBoard draws it, traced on a copy: mode, statistics of norms and
    random state of the one that is trained stay as they are."""
    twin = copy.deepcopy(model).eval()
    device = next((each.device for each in twin.parameters()), torch.device("cpu"))
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),  # it prints what it then raises
    ):
        warnings.simplefilter("ignore")  # of tracing: deprecated, and branches taken once
        return graph_of(twin, torch.zeros(1, *shape, device=device))[0]


def _add_histogram(file: EventFile, name: str, tensor: Tensor, step: int) -> None:
    """The distribution of a tensor's finite values, of a large one of evenly spaced ones."""
    values = _some(tensor.detach()).double().cpu().numpy()
    values = values[np.isfinite(values)]
    if not values.size:
        return
    counts, edges = np.histogram(values, bins=_BINS)
    made = summary.histogram_raw(
        name,
        min=float(values.min()),
        max=float(values.max()),
        num=int(values.size),
        sum=float(values.sum()),
        sum_squares=float(values @ values),
        bucket_limits=edges[1:].tolist(),
        bucket_counts=counts.tolist(),
    )
    file.add_summary(made, step)


def _some(tensor: Tensor) -> Tensor:
    """At most `_COUNTED` evenly spaced values of a tensor, as one row."""
    return tensor.reshape(-1)[:: max(1, math.ceil(tensor.numel() / _COUNTED))]


def _verbatim(text: str) -> str:
    """Text as Markdown shows it unchanged."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as hyperparameters: numbers, truths and texts; what is not set is left out."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in settings.items()
        if value is not None
    }


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
