"""What a run folder offers to the report, checked: every value of the kind it claims to be.

A run folder may be torn, old, or made by someone else. Here, and only here, its content is
looked at with doubt; the sections behind take what they get.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from netwright.core.config import flatten
from netwright.core.errors import DataError
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.interventions import Intervention, intervention_in
from netwright.records.record import DOCUMENT, Record
from netwright.records.run import Run, lines_of
from netwright.report.augmented import augmented_in
from netwright.report.evidence import (
    MOST_CLASSES,
    Evidence,
    evidence_in,
    images_in,
    integers_in,
)
from netwright.report.features import features_in
from netwright.report.found import Found, found_in
from netwright.report.words import number, spoken, whole

T = TypeVar("T")

# Records of more models than this are not drawn.
_MOST_PATIENTS = 5

# And nobody reads more of these.
_MOST_INTERVENTIONS = 100

# The split that judges comes first.
SPLITS = ("test", "val")

# No run takes a million million steps.
_FARTHEST = 1e12


class Material:
    """A run folder as the report sees it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.faults: list[str] = []
        self.info: dict[str, Any] = self._read(lambda: run.info, {})
        self.model: dict[str, Any] = self._read(lambda: run.model, {})
        self.config: dict[str, Any] = self._read(lambda: _flat(run.config), {})
        self.config_text = self._read(lambda: run.config_text, "")
        self.metrics: list[dict[str, Any]] = self._read(lambda: run.metrics, [])
        self.repair: Mapping[str, Any] = self._read(lambda: run.repair, {})
        self.evidence = [
            each for each in (self._evidence(split) for split in SPLITS) if each is not None
        ]
        self.first_batch = self._first_batch()
        features = self._read(lambda: run.evidence("features"), None)
        self.features = features_in(features or {})
        self.augmented = augmented_in(self._read(lambda: run.augmentations() or {}, {}))

    @cached_property
    def classes(self) -> list[str]:
        named = self.model.get("classes")
        return [str(each) for each in named[:MOST_CLASSES]] if isinstance(named, list) else []

    def class_name(self, index: int) -> str:
        """The name of an output of the network, its number when it has none."""
        return self.classes[index] if 0 <= index < len(self.classes) else str(index)

    @property
    def data(self) -> Mapping[str, Any]:
        """The part of `model.json` about the data."""
        return mapping(self.model.get("data"))

    @property
    def data_name(self) -> str:
        """The data's name; of a path its last part."""
        return _last_part(self.data.get("name") or self.config.get("data.name"))

    @property
    def model_name(self) -> str:
        """The model's name; of a `file.py:factory` without the folders."""
        architecture = mapping(self.model.get("architecture"))
        return _last_part(
            architecture.get("name") or architecture.get("factory") or self.config.get("model.name")
        )

    @property
    def status(self) -> str:
        return str(self.info.get("status") or "unknown")

    @property
    def why(self) -> str:
        """Why the run ended, in words; "" when it does not say."""
        return spoken(self.info.get("why_message") or self.info.get("why"))

    @property
    def goal(self) -> str:
        """The metric that compares epochs."""
        return str(mapping(self.info.get("best")).get("metric") or "val/acc1")

    @property
    def best_epoch(self) -> int | None:
        return whole(mapping(self.info.get("best")).get("epoch"))

    @property
    def keeps_last(self) -> bool:
        """Whether the weights of the last epoch are kept, not those of the best."""
        return self.config.get("run.select") == "last"

    @property
    def best_value(self) -> float | None:
        return number(mapping(self.info.get("best")).get("value"))

    @property
    def epochs_done(self) -> int:
        """The last epoch that was measured, 0 before the first."""
        return max((whole(line.get("epoch")) or 0 for line in self.metrics), default=0)

    @property
    def measurements(self) -> int:
        """How often the validation images were measured."""
        return sum(number(line.get("val/acc1")) is not None for line in self.metrics)

    @property
    def has_weights(self) -> bool:
        """Whether there is a network to use."""
        try:
            return (self.run.path / "best.safetensors").is_file()
        except OSError:
            return False

    @property
    def epochs_planned(self) -> int | None:
        return whole(self.config.get("epochs"))

    def at_best(self, name: str) -> float | None:
        """The value of a metric at the best epoch."""
        for line in self.metrics:
            if self.best_epoch is not None and whole(line.get("epoch")) == self.best_epoch:
                return number(line.get(name))
        return None

    def curve(self, name: str) -> list[tuple[float, float | None]]:
        """(epoch, value) of a metric; None where it was not a finite number.

        The step takes the place of the epoch where a run has no epochs or measures more often.
        """
        points = []
        for line in self.metrics:
            place = number(line.get(self.axis))
            if place is not None and abs(place) < _FARTHEST and name in line:
                points.append((place, number(line[name])))
        known = any(value is not None for _, value in points)
        return sorted(points, key=lambda point: point[0]) if known else []

    @cached_property
    def axis(self) -> str:
        """What the curves run along: "epoch" or "step"."""
        epochs = [whole(line.get("epoch")) for line in self.metrics]
        every = all(epoch for epoch in epochs) and len(set(epochs)) == len(epochs)
        return "epoch" if every else "step"

    @cached_property
    def patients(self) -> list[Record]:
        """What the doctor has measured, a record for each model that it watched."""
        folders = [self.run.path, *sorted(self.run.path.glob("patient-*"))[:_MOST_PATIENTS]]
        found = [
            self._read(functools.partial(Record.load, each), None)
            for each in folders
            if (each / DOCUMENT).is_file()
        ]
        return [each for each in found if each is not None]

    @cached_property
    def findings(self) -> list[Found]:
        """What the doctor has found, the worst first."""
        return found_in(self._read(lambda: lines_of(self.run.path / "findings.jsonl"), []))

    @cached_property
    def interventions(self) -> list[Intervention]:
        """What was done to the run while it trained, in order."""
        nothing: list[dict[str, Any]] = []
        lines = self._read(lambda: lines_of(self.run.path / "interventions.jsonl"), nothing)
        found = [intervention_in(each) for each in lines[:_MOST_INTERVENTIONS]]
        return [each for each in found if each is not None]

    def place_of(self, step: int) -> float | None:
        """Where a step lies on the axis of the curves; None where nobody knows."""
        if self.axis == "step":
            return float(step)
        for line in self.metrics:
            epoch, at = number(line.get("epoch")), number(line.get("step"))
            if epoch and at:
                return step * epoch / at
        return None

    def _read(self, read: Callable[[], T], nothing: T) -> T:
        try:
            return read()
        except DataError as error:
            self.faults.append(error.localized().partition("\n")[0])
            return nothing

    def _evidence(self, split: str) -> Evidence | None:
        arrays = self._read(lambda: self.run.evidence(split), None)
        if arrays is None:
            return None
        found = evidence_in(arrays, split)
        if found.confusion is None and "confusion" in arrays:
            self.faults.append(
                say(
                    "The confusion matrix of {split} is not shown: it is not a square of counts "
                    "with at most {most} classes.",
                    split=split,
                    most=f"{MOST_CLASSES:,}",
                )
            )
        return found

    def _first_batch(self) -> list[tuple[Array, tuple[int, ...]]]:
        """Each image with its label, or both of them where images were mixed."""
        arrays = self._read(self.run.first_batch, None) or {}
        columns = [integers_in(arrays, name) for name in ("target", "second")]
        return [
            (image, tuple(column[i] for column in columns if i < len(column)))
            for i, image in enumerate(images_in(arrays, "images"))
        ]


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def _last_part(name: Any) -> str:
    return str(name or "").rstrip("/").rpartition("/")[2] or "?"


def _flat(config: Mapping[Any, Any]) -> dict[str, Any]:
    # Aliases make a small YAML file a tree without end, so the depth is bounded first.
    top = {str(name): value for name, value in list(config.items())[:500]}
    groups = {
        name: {str(inner): each for inner, each in list(value.items())[:500]}
        if isinstance(value, Mapping)
        else value
        for name, value in top.items()
    }
    plain = {
        name: {inner: each for inner, each in value.items() if not isinstance(each, Mapping)}
        if isinstance(value, Mapping)
        else value
        for name, value in groups.items()
    }
    return flatten(plain)
