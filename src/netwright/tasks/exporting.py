"""Exporting a run: its network becomes a file that other programs run, checked on real images."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright.core.errors import CheckFailedError, SettingError
from netwright.core.events import Noted
from netwright.core.factories import is_factory
from netwright.core.registry import Entry
from netwright.export.example import example
from netwright.export.formats import (
    FORMATS,
    Exportable,
    Format,
    Runner,
    find_format,
    refuse_missing_packages,
)
from netwright.export.graph import BATCH, INPUT, OUTPUTS, self_contained
from netwright.export.parity import Parity, compare
from netwright.export.places import refuse_place, staged
from netwright.export.speed import BATCH as TIMED
from netwright.export.speed import milliseconds
from netwright.records.run import Run
from netwright.tasks.loading import Network, load
from netwright.tasks.real_images import real_images
from netwright.train.copies import ties_of
from netwright.train.weights import FORMAT, pack, step_of, unpack

CHECKED = 64
"""Images a file is checked on; fewer of a network so large that they would take minutes."""
CHECKED_LARGE, LARGE_MACS = 20, 2_000_000_000

Announce = Callable[[Noted], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported file: what it takes and gives, how near it is to the network, how fast.

    `kind` is the format; `input` and `outputs` describe its graph (None and () for a file of
    weights alone); `parity` was measured on images from `source`; `milliseconds` an image takes
    on one thread, of the network in torch and of the file.
    """

    run: Run
    path: Path
    kind: str
    bytes: int
    input: Mapping[str, Any] | None
    outputs: tuple[Mapping[str, Any], ...]
    parity: Parity
    source: str
    milliseconds: Mapping[str, float]
    timed_batch: int
    versions: Mapping[str, str]
    example: tuple[str, ...]
    """Lines of Python that use the file without Netwright."""
    opset: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "run": str(self.run.path),
            "file": str(self.path),
            "kind": self.kind,
            "bytes": self.bytes,
            "opset": self.opset,
            "input": None if self.input is None else dict(self.input),
            "outputs": [dict(each) for each in self.outputs],
            "parity": {**self.parity.to_json(), "source": self.source},
            "speed": {"batch": self.timed_batch, "milliseconds": dict(self.milliseconds)},
            "versions": dict(self.versions),
        }


def export(
    run: str,
    file: str | Path | None = None,
    *,
    format: str | None = None,  # noqa: A002
    images: Sequence[str | Path] = (),
    overwrite: bool = False,
    trust_code: bool = False,
    announce: Announce | None = None,
) -> Exported:
    """Write the network of `run` to `file`; without one, to RUN.onnx where the command started.

    See `Network.export`.
    """
    path, entry = _asked(run, file, format)
    _refuse_early(path, entry, overwrite=overwrite)
    with contextlib.redirect_stdout(sys.stderr):  # as below: code of the user's may print
        network = load(run, trust_code=trust_code, device="cpu")
    return _export(
        network, path, entry, images, overwrite=overwrite, trust_code=trust_code, announce=announce
    )


def export_with(
    network: Network,
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    images: Sequence[str | Path] = (),
    overwrite: bool = False,
) -> Exported:
    place, entry = _asked(str(network.run.path), path, format)
    _refuse_early(place, entry, overwrite=overwrite)
    return _export(network, place, entry, images, overwrite=overwrite)


def _asked(run: str, file: str | Path | None, name: str | None) -> tuple[Path, Entry[Format]]:
    if file is not None and not isinstance(file, str | Path):
        raise SettingError(
            "{value} is no name of a file.",
            hint="Expected the name of a file, such as {example}.",
            value=repr(file),
            example="model.onnx",
        )
    if file is not None:
        return Path(file), find_format(Path(file), name)
    entry = FORMATS.get(name or "onnx")
    return Path(f"{Path(run).name or 'model'}{entry.facts['suffix']}"), entry


def _refuse_early(path: Path, entry: Entry[Format], *, overwrite: bool) -> None:
    refuse_place(path, overwrite=overwrite)
    refuse_missing_packages(entry)


def _export(
    network: Network,
    path: Path,
    entry: Entry[Format],
    given_images: Sequence[str | Path],
    *,
    overwrite: bool,
    trust_code: bool = False,
    announce: Announce | None = None,
) -> Exported:
    announce = announce or (lambda note: None)
    macs = network.run.model.get("macs")
    large = isinstance(macs, int) and macs > LARGE_MACS
    real = real_images(
        network, given_images, count=CHECKED_LARGE if large else CHECKED, trust_code=trust_code
    )
    if real.note is not None:
        announce(real.note)
    given = _exportable(network, real.images.dtype, entry)
    module = self_contained(given)

    def in_torch(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            logits, probabilities = module(images)
        return logits, probabilities

    # What a network of the user's own prints is not the result.
    with staged(path, overwrite=overwrite) as place, contextlib.redirect_stdout(sys.stderr):
        entry.target(given, place)
        opened, parity = _checked(entry, place, given, in_torch, real.images)
        runners: dict[str, Runner] = {"torch": in_torch}
        if entry.facts["graph"]:
            runners["file"] = opened
        taken = milliseconds(runners, real.images[:TIMED])
        size = sum(each.stat().st_size for each in place.parent.iterdir())
    shape = [BATCH, *network.preprocessing.shape]
    dtype = str(real.images.dtype).removeprefix("torch.")
    result = {"dtype": "float32", "shape": [BATCH, len(network.classes)]}
    graph = entry.facts["graph"]
    return Exported(
        run=network.run,
        path=path,
        kind=entry.name,
        bytes=size,
        input={"name": INPUT, "dtype": dtype, "shape": shape} if graph else None,
        outputs=tuple({"name": name, **result} for name in OUTPUTS) if graph else (),
        parity=parity,
        source=real.source,
        milliseconds=taken,
        timed_batch=min(TIMED, len(real.images)),
        versions=_versions(entry),
        example=example(entry, path, given),
        opset=entry.facts.get("opset"),
    )


def _checked(
    entry: Entry[Format], place: Path, given: Exportable, network: Runner, images: Tensor
) -> tuple[Runner, Parity]:
    """The file opened again and its parity; `CheckFailedError` unless it is what it should be."""
    try:
        opened = entry.facts["opens"](place, given)
        parity = compare(network, opened, images)
    except MemoryError:
        raise
    except Exception as error:  # another program's runtime: it raises what it likes
        raise CheckFailedError(
            "The exported file does not run in {runtime}, and was not kept: {reason}",
            runtime=entry.facts["runtime"],
            reason=str(error).partition("\n")[0] or type(error).__name__,
        ) from error
    if not parity.holds:
        raise CheckFailedError(
            "The exported file does not compute what the network does, and was not kept: on "
            "{images} images the logits differ by up to {logits:.2g} (allowed {bound:.2g}), the "
            "probabilities by up to {probability:.2g}; the same class first on {agree}.",
            hint="Some operation was translated wrongly. Another format, such as .pt2, may do.",
            images=parity.images,
            logits=parity.max_abs_logits,
            bound=parity.bound,
            probability=parity.max_abs_probability,
            agree=parity.agree,
        )
    return opened, parity


def _exportable(network: Network, dtype: torch.dtype, entry: Entry[Format]) -> Exportable:
    # A copy: the one in the caller's hands may sit on another device or be in training mode.
    module = copy.deepcopy(network.module).cpu().eval()
    weights = {name: each.detach().contiguous() for name, each in module.state_dict().items()}

    def packed(facts: Mapping[str, str]) -> tuple[bytes | memoryview, ...]:
        step = step_of(network.run.path / "best.safetensors") or 0
        return pack(weights, ties=ties_of(weights), step=step, best=step, more=facts)

    return Exportable(
        network=module,
        preprocessing=network.preprocessing,
        dtype=dtype,
        facts=_facts(network, dtype, entry),
        pack=packed,
        unpack=lambda data: unpack(data)[0],
    )


def _facts(network: Network, dtype: torch.dtype, entry: Entry[Format]) -> dict[str, str]:
    """The metadata of a file: texts, those with a structure as JSON. No path of this computer."""
    model = network.run.model
    architecture = model.get("architecture") or {}
    name = str(architecture.get("name"))
    data = model.get("data")
    attribution = str(data.get("attribution") or "") if isinstance(data, Mapping) else ""
    stored = str(dtype).removeprefix("torch.")
    facts: dict[str, Any] = {
        "format": FORMAT,
        "task": str(model.get("task") or "classification"),
        "classes": list(network.classes),
        "input": {**network.preprocessing.to_json(), "dtype": stored},
        "architecture": {
            "name": Path(name).name if is_factory(name) else name,
            "options": architecture.get("options") or {},
        },
        "run": network.run.name,
        "best": network.run.best,
        "versions": _versions(entry),
    }
    if attribution:
        facts["attribution"] = attribution
    return {
        key: each if isinstance(each, str) else json.dumps(each, ensure_ascii=False, default=str)
        for key, each in facts.items()
    }


def _versions(entry: Entry[Format]) -> dict[str, str]:
    modules = {name: importlib.import_module(name) for name in entry.facts["packages"]}
    return {
        "netwright": version("netwright"),
        "torch": str(torch.__version__),
        **{name: str(module.__version__) for name, module in modules.items()},
    }
