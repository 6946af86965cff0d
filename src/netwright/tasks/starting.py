"""`model.weights`: a network that begins with weights from a file instead of random ones.

    netwright train flowers/ resnet18 model.weights=resnet18-f37072fd.pth
    netwright train flowers/ runs/latest                   # the network of a run, and its weights
    netwright train flowers/ model.weights=squeezenet-deep-compression:weights.safetensors

All must fit but the head, which is drawn anew for other classes. What was loaded is kept in
`model.json` under `start`; a run that goes on takes its weights from its checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from netwright.core.errors import CheckpointError, DataError, SettingError
from netwright.core.events import Event
from netwright.core.languages import Phrase
from netwright.core.registry import Entry
from netwright.data.preprocessing import Preprocessing
from netwright.models import MODELS
from netwright.models.adapters import Adapter, network_of, recognised
from netwright.models.weights.beside import images_beside
from netwright.models.weights.channels import (
    Adapted,
    Statistics,
    adapt,
    first_layer,
    statistics_of,
)
from netwright.models.weights.fitting import (
    SPARE,
    Fit,
    Shape,
    fit_module,
    head_of,
    own_tensors,
    put,
    shapes,
    zero_throughout,
)
from netwright.models.weights.identifying import identify
from netwright.models.weights.published import MEAN, NAME, STD, known_file
from netwright.models.weights.reading import read_weights_file
from netwright.models.weights.renaming import Arrangement, arrange
from netwright.nn.stem import is_small
from netwright.records.run import Run
from netwright.tasks.architectures import recorded_preprocessing
from netwright.tasks.weight_addresses import fetched
from netwright.tasks.weight_places import (
    address_in,
    exists,
    place_of,
    run_names,
    run_of,
)
from netwright.train.weights import FORMAT, UnreadableWeightsError, unpack


@dataclass(kw_only=True)
class Start:
    """Weights of others: where they come from, and, once they are in a network, what fitted."""

    place: str
    """`FILE`, or `ADAPTER:FILE`, absolute."""
    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    adapter: Entry[Adapter] | None = None
    run: Run | None = None
    taken_off: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size: tuple[int, int] | None = None
    source: Phrase | None = None
    """How that is known, where neither adapter nor run says it."""
    images: Literal["auto", "imagenet", "data"] = "auto"
    """What the user says of the normalisation of images."""
    network: str | None = None
    """The registered network they are known to be of."""
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    """The classes that the head knows, in its order, if they are known."""
    fit: Fit | None = None
    arranged: Arrangement | None = None
    """How names and shapes were changed, where they had to be."""
    adapted: Adapted | None = None
    """How the first convolution was brought to another number of channels, where it had to be."""
    converted: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()
    """Weights that are loaded, and 0 throughout."""
    reordered: tuple[str, ...] = ()
    """Tensors of the head that were put into the order of these classes."""
    own_classes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """How many classes the images here have."""
        return len(self.own_classes)

    def put_into(
        self, model: nn.Module, name: str, *, classes: Sequence[str], shape: Shape
    ) -> None:
        """Load what fits into `model`, called `name`, for images of `shape` (C, H, W).

        Raises `SettingError` if too little fits.
        """
        plain, num_classes = None, len(classes)
        for made in self._arrangements(model):
            tensors = self._for_classes(model, made.tensors, classes)
            found = self._fit(model, made, tensors, num_classes)
            plain = plain or found
            if not found.good:
                self.adapted = adapt(model, tensors, shape=shape, mean=self.mean, std=self.std)
                if self.adapted is not None:
                    tensors = self.adapted.tensors
                    found = self._fit(model, made, tensors, num_classes)
            if found.good:
                break
        else:
            assert plain is not None
            raise self._unfit(plain, model, name, shape)
        self.converted = put(model, tensors, found, source=str(self.path))
        self.zeros = zero_throughout(tensors, found)
        self.arranged, self.fit, self.own_classes = made, found, tuple(classes)

    def _arrangements(self, model: nn.Module) -> Iterator[Arrangement]:
        """The tensors as they are, then under the names of the network."""
        yield Arrangement(tensors=self.tensors)
        yield arrange(shapes(own_tensors(model)), self.tensors)

    def _for_classes(
        self, model: nn.Module, tensors: Mapping[str, Tensor], classes: Sequence[str]
    ) -> Mapping[str, Tensor]:
        """The head in the order of `classes`; without it where it knows as many other ones."""
        self.reordered = ()
        if len(self.classes) != len(classes) or self.classes == tuple(classes):
            return tensors
        head = [each for each in head_of(model) if len(tensors.get(each, ())) == len(classes)]
        if set(self.classes) != set(classes):
            return {name: each for name, each in tensors.items() if name not in head}
        order = [self.classes.index(each) for each in classes]
        self.reordered = tuple(head)
        return {**tensors, **{name: tensors[name][order] for name in head}}

    def _fit(
        self, model: nn.Module, made: Arrangement, tensors: Mapping[str, Tensor], num_classes: int
    ) -> Fit:
        return fit_module(model, tensors, num_classes=num_classes, skip=True, outside=made.outside)

    def statistics(self, channels: int) -> Statistics | None:
        """Mean and deviation that the weights expect of images of so many channels, if known."""
        return statistics_of(self.mean, self.std, channels) if self.mean else None

    def choose_images(self, images: Literal["auto", "imagenet", "data"]) -> None:
        """What the user says of the normalisation of images stands above what the file says."""
        self.images = images
        if images == "imagenet":
            self.mean, self.std = MEAN, STD
        elif images == "data":
            self.mean, self.std = (), ()

    def _unfit(self, found: Fit, model: nn.Module, name: str, shape: Shape) -> SettingError:
        """What fits, what does not, and whose weights they are."""
        whose = identify(shapes(self.tensors))
        first = first_layer(model, shape)
        if first is not None and found.misshapen == (f"{first.name}.weight",) == found.amiss:
            hint = (
                "It is the first layer, and only a convolution that is not grouped is adapted to "
                "other images: set data.size and data.channels as they were for these weights."
            )
        elif whose is None and self.network is not None:
            hint = "The run they come from trained {network}, with options of its own."
        elif whose is None:
            lacking = bool(found.fitting) and not (found.unexpected or found.misshapen)
            hint = (
                "The file lacks a part of the network: it may be one of several, or cut out of a "
                "whole."
                if lacking
                else "They fit no registered network with its default options."
            )
        elif whose.name != name:
            hint = "They are the weights of {near}: give that as MODEL."
        elif whose.options:
            hint = "They fit {near}."
        else:
            hint = "They fit {near} with the options it has by default."
        return SettingError(
            "The weights in {source} do not fit {model}: {fitting} of {total} tensors fit; "
            "{differences}.",
            hint=hint,
            source=str(self.path),
            model=name,
            fitting=sum(not each.endswith(SPARE) for each in found.fitting),
            total=sum(not each.endswith(SPARE) for each in found.own),
            differences=found.differences,
            near=str(whose or ""),
            network=self.network,
        )

    def to_json(self) -> dict[str, Any]:
        """What `model.json` keeps of it, under `start`."""
        fit = self.fit
        return {
            "weights": self.place,
            "sha256": self.sha256,
            "tensors": len(fit.fitting) if fit is not None else 0,
            "fresh": list(fit.fresh) if fit is not None else [],
            "reordered": list(self.reordered),
            "renamed": len(self.arranged.renamed) if self.arranged is not None else 0,
            "reshaped": list(self.arranged.reshaped) if self.arranged is not None else [],
            "adapted": (
                {
                    "tensors": list(self.adapted.names),
                    "given": self.adapted.given,
                    "own": self.adapted.own,
                }
                if self.adapted is not None
                else None
            ),
            "skipped": list(fit.skipped) if fit is not None else [],
            "zero": list(self.zeros),
            "adapter": self.adapter.name if self.adapter is not None else None,
            "source": self.adapter.facts["source"] if self.adapter is not None else None,
            "run": str(self.run.path) if self.run is not None else None,
        }


def read_start(spec: str, emit: Callable[[Event], None]) -> Start:
    """The weights at `spec`; `emit` is told of a download, where it is an address."""
    adapter, address = address_in(spec)
    if address is None:
        adapter, path = place_of(spec)
    else:
        path = fetched(address, emit)
    run = run_of(path)
    if run is not None and path == run.path:
        path = run.path / "best.safetensors"
        if not path.is_file():
            raise CheckpointError(
                "The run {run} has no weights to start from ({status}).",
                run=str(run.path),
                status=run.status,
            )
    file = read_weights_file(path, known=() if exists(path) else run_names(path))
    tensors: Mapping[str, Tensor] = file.tensors
    if file.metadata.get("format") == FORMAT:
        try:
            tensors = unpack(file.data)[0]
        except UnreadableWeightsError as error:
            raise CheckpointError(
                "{path} is damaged: {reason}",
                hint="Download or copy it again.",
                path=str(path),
                reason=str(error),
            ) from error
    adapter = adapter or (recognised(file) if run is None else None)
    place = str(path) if address is None else address
    start = Start(
        place=f"{adapter.name}:{place}" if adapter is not None else place,
        path=path,
        sha256=file.sha256,
        tensors=tensors,
        adapter=adapter,
        run=run,
        taken_off=file.taken_off,
    )
    if adapter is not None:
        start.tensors = adapter.target(tensors)
        start.network = network_of(adapter, tensors)
        start.options = adapter.facts["needs"]
        start.mean, start.std = adapter.facts["mean"], adapter.facts["std"]
        start.size = adapter.facts["size"]
    elif run is not None:
        seen = recorded_preprocessing(run)
        start.mean, start.std, start.size = seen.mean, seen.std, seen.size
        start.network, start.options = recorded_network(run)
        start.classes = tuple(run.classes)
    else:
        _know(start, file.metadata)
    return start


def _know(start: Start, metadata: Mapping[str, str]) -> None:
    """How the images of a file are prepared, where its content or a file beside it tells."""
    exported = _exported(metadata)
    if exported is not None:
        seen, start.classes = exported
        start.mean, start.std, start.size = seen.mean, seen.std, seen.size
        return
    known, said = known_file(start.sha256), images_beside(start.path)
    if known is not None:
        start.network = known.network
        start.mean, start.std, start.size = known.mean, known.std, known.size
        start.source = Phrase(
            "their checksum says that they are torchvision's {network}, {name}",
            network=known.network,
            name=NAME,
        )
    elif said is not None:
        start.mean, start.std, start.size = said.mean, said.std, said.size
        start.source = Phrase("{file} beside them says how images are prepared", file=said.file)


def _exported(metadata: Mapping[str, str]) -> tuple[Preprocessing, tuple[str, ...]] | None:
    """Preprocessing and classes that `netwright export` writes into a file of weights."""
    if metadata.get("format") != FORMAT or not {"input", "classes"} <= set(metadata):
        return None
    try:
        seen = Preprocessing.from_json(json.loads(metadata["input"]))
        classes = json.loads(metadata["classes"])
    except (ValueError, TypeError, RecursionError, DataError):
        return None
    known = isinstance(classes, list) and all(isinstance(each, str) for each in classes)
    return seen, tuple(classes) if known else ()


def fresh_names(start: Start | None, recorded: Run | None) -> tuple[str, ...]:
    """The tensors of the head that began anew, also in a run that goes on."""
    if start is not None and start.fit is not None:
        return start.fit.fresh
    facts = recorded.model.get("start") if recorded is not None else None
    names = facts.get("fresh") if isinstance(facts, Mapping) else None
    return tuple(str(each) for each in names) if isinstance(names, list) else ()


def recorded_network(run: Run) -> tuple[str | None, dict[str, Any]]:
    """Name and options of a run's registered network, its stem as it was built then."""
    facts = run.model.get("architecture")
    name = facts.get("name") if isinstance(facts, Mapping) else None
    if not isinstance(facts, Mapping) or name not in MODELS or "factory" in facts:
        return None, {}
    given = facts.get("options")
    options = dict(given) if isinstance(given, Mapping) else {}
    if options.get("stem") == "auto":
        small = is_small("auto", recorded_preprocessing(run).size)
        options["stem"] = "small" if small else "standard"
    return str(name), options
