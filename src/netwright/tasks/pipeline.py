"""Measuring the way from a file to the network, stage by stage and as a whole."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from netwright.augment import Augmentation
from netwright.augment.keys import Keys
from netwright.core import events as e
from netwright.core.errors import DataError
from netwright.core.keyed import permutation
from netwright.core.languages import Phrase
from netwright.data.batches import Batch
from netwright.data.dataset import Images, MemoryImages, UnreadableImageError
from netwright.data.feed import Feed
from netwright.data.files import FileImages
from netwright.data.opening import open_dataset
from netwright.data.reading import FORMATS, Decoded, decoded, quiet, read_bytes, resized
from netwright.doctor.quiet import RandomState
from netwright.records.pipeline import Pipeline, Stage
from netwright.tasks.classification import Classification
from netwright.tasks.preparing import Prepared, prepare
from netwright.tasks.settings import Resolved
from netwright.train.task import NonFiniteError

SECONDS = 10.0
_MOST = 60.0
"""Seconds: to measure for longer shows nothing more."""
_SAMPLE = 64
_LEAST = 1e-9


def measure_pipeline(
    resolved: Resolved, *, listeners: Sequence[e.Listener] = (), seconds: float = SECONDS
) -> Pipeline:
    """What each stage takes for an image, on a sample, and what the whole gives without workers,
    with those of the run and with one for each processor; for about `seconds`, at most a minute,
    nothing is kept.

    Raises subclasses of `NetwrightError` for what could not be trained either.
    """
    seconds = min(seconds, _MOST)
    prepared = prepare(resolved, e.Events(*listeners))
    state = RandomState()
    try:
        with _one_thread():
            other_work = _other_work(seconds / 40)
            sample, files, bad = _sample(prepared)
            stages = [*_reading(sample, files, prepared, seconds / 4)]
            stages += _batching(sample, prepared, seconds / 8)
        feeds = _feeds(prepared)
        whole = {count: _rate(feed, seconds / 3 / len(feeds)) for count, feed in feeds.items()}
        network = _network_rate(prepared.task, seconds / 4)
    finally:
        state.restore()
    jpeg = [file for file in files if _is_jpeg(file)] if files else []
    return Pipeline(
        images=len(sample),
        batch=prepared.task.train.batch,
        size=prepared.preprocessing.size,
        stored=_median_size(sample),
        held=prepared.dataset.splits["train"].in_memory,
        jpeg=len(jpeg) / len(files) if files else 0.0,
        decode=prepared.recipe.data.decode,
        stages=tuple(stages),
        whole=whole,
        workers=prepared.task.train.workers,
        network=network,
        other_work=other_work,
        unreadable=len(bad),
        first_unreadable=bad[0] if bad else None,
    )


def _sample(prepared: Prepared) -> tuple[Images, list[bytes], list[Phrase]]:
    """Some training images, from their files where they have any, the bytes of these, and what
    cannot be read, with the reasons."""
    recipe = prepared.recipe
    images = prepared.dataset.splits["train"]
    if images.in_memory and isinstance(images, MemoryImages):
        options = dataclasses.replace(recipe.data, cache="stream")
        shape = prepared.preprocessing.shape
        streamed = open_dataset(options, seed=recipe.general.seed, shape=shape).splits["train"]
        images = streamed if isinstance(streamed, FileImages) else images
    rows = permutation(len(images), recipe.general.seed, "pipeline")[:_SAMPLE]
    images = images.subset(rows)
    if not isinstance(images, FileImages):
        return images, [], []
    good, bad = [], []
    for i in range(len(images)):
        try:
            images.read(i)
        except UnreadableImageError as error:
            reason = error.values["reason"]
            bad.append(Phrase("{name} ({reason})", name=images.name(i), reason=reason))
        else:
            good.append(i)
    if not good:
        raise DataError("None of {count} training images can be read.", count=len(images))
    images = images.subset(np.array(good, np.int64))
    return images, [read_bytes(file.path) for file in images.files], bad


def _reading(
    images: Images, files: list[bytes], prepared: Prepared, seconds: float
) -> Iterator[Stage]:
    """The stages of one image, up to bytes of the shape that is used."""
    held = prepared.dataset.splits["train"].in_memory
    if not isinstance(images, FileImages):
        if not held:
            yield Stage(name="source", seconds=_each(images.read, len(images), seconds))
        return

    def taken(i: int) -> Decoded:
        file = io.BytesIO(files[i])
        with Image.open(file, formats=FORMATS) as image:
            found = decoded(
                image, file, channels=images.channels, size=images.size, decode=images.decode
            )
            if isinstance(found.pixels, Image.Image):
                found.pixels.load()
            return found

    with quiet():
        places = [file.path for file in images.files]
        read = _each(lambda i: read_bytes(places[i]), len(files), seconds / 3)
        decode = _each(taken, len(files), seconds / 3)
        pictures = [taken(i) for i in range(len(files))]
        resize = _each(lambda i: resized(pictures[i], images.size), len(files), seconds / 3)
    yield Stage(name="read", seconds=read, once=held)
    yield Stage(name="decode", seconds=decode, once=held)
    yield Stage(name="resize", seconds=resize, once=held)


def _batching(images: Images, prepared: Prepared, seconds: float) -> Iterator[Stage]:
    """The stages of a batch, as the time of one of its images."""
    recipe, preprocessing, device = prepared.recipe, prepared.preprocessing, prepared.device
    count = min(prepared.task.train.batch, _SAMPLE, len(images))
    single = [images.read(i) for i in range(count)]
    if prepared.dataset.splits["train"].in_memory:
        pool, rows = torch.stack(single), torch.randperm(count)
        gathered = _batch(lambda: pool.index_select(0, rows), count, seconds)
        yield Stage(name="gather", seconds=gathered)
    else:
        yield Stage(name="batch", seconds=_batch(lambda: torch.stack(single), count, seconds))
    batch = torch.stack(single)
    floats = batch
    if batch.dtype != torch.uint8:  # normalised before they are augmented
        if not prepared.dataset.splits["train"].in_memory:
            taken = _batch(lambda: preprocessing(floats), count, seconds)
            yield Stage(name="tensor", seconds=taken)
        batch = preprocessing(batch)
    augmentation = Augmentation(recipe.aug, mean=preprocessing.mean, std=preprocessing.std)
    if augmentation:
        keys = Keys(recipe.general.seed, 0, np.arange(count))
        taken = _batch(lambda: augmentation(batch.clone(), keys), count, seconds)
        yield Stage(name="augment", seconds=taken)
    if batch.dtype == torch.uint8:
        yield Stage(name="tensor", seconds=_batch(lambda: preprocessing(batch), count, seconds))
    if device.type != "cpu":
        normalised = preprocessing(batch) if batch.dtype == torch.uint8 else batch

        def transfer() -> Tensor:
            moved = normalised.to(device)
            torch.cuda.synchronize(device)
            return moved

        yield Stage(name="transfer", seconds=_batch(transfer, count, seconds))


def _feeds(prepared: Prepared) -> dict[int, Feed]:
    """The feed of the run, and of a stream the same without workers and with one a processor."""
    recipe, preprocessing = prepared.recipe, prepared.preprocessing
    images = prepared.dataset.splits["train"]
    augmentation = Augmentation(recipe.aug, mean=preprocessing.mean, std=preprocessing.std)

    def feed(workers: int | str) -> Feed:
        return Feed(
            images,
            batch=prepared.task.train.batch,
            seed=recipe.general.seed,
            preprocessing=preprocessing,
            augmentation=augmentation or None,
            mixing=augmentation.mixing,
            workers=workers,  # type: ignore[arg-type]
            device=prepared.device,
            max_unreadable=recipe.data.max_unreadable,
        )

    made = [feed(count) for count in (0, "auto", prepared.task.train.workers)]
    return {each.workers: each for each in made}


def _rate(feed: Feed, seconds: float) -> float:
    """Images a second of a feed, without the time its workers take to start."""
    batches = iter(feed.iterate(0, None))
    try:
        for _ in range(1 + 2 * feed.workers):  # what was made ahead has cost no time here
            next(batches)
        begun = time.perf_counter()
        count = 0
        while True:
            count += len(next(batches).target)
            taken = time.perf_counter() - begun
            if taken >= seconds:
                return count / taken
    finally:
        batches.close()  # type: ignore[attr-defined]


def _network_rate(task: Classification, seconds: float) -> float:
    """Images a second of training steps on one batch that is there."""
    batch = next(task.feed(0))
    _take(task, batch)
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < ends and len(times) < 50):
        begun = time.perf_counter()
        _take(task, batch)
        times.append(time.perf_counter() - begun)
    return len(batch.target) / statistics.median(times)


def _take(task: Classification, batch: Batch) -> None:
    """A step; one whose loss is not finite, by a rate far too high, takes as long as another."""
    with contextlib.suppress(NonFiniteError):
        task.step(batch, 0)


def _each(do: Callable[[int], object], count: int, seconds: float) -> float:
    """The mean over the sample of the median seconds of `do(i)`, each taken at least once.

    The mean, for a few large images can take longer than all others.
    """
    times: list[list[float]] = [[] for _ in range(count)]
    ends = time.perf_counter() + seconds
    do(0)
    while not times[0] or time.perf_counter() < ends:
        for i, taken in enumerate(times):
            begun = time.perf_counter()
            do(i)
            taken.append(time.perf_counter() - begun)
        if len(times[0]) > 50:
            break
    return max(statistics.fmean(statistics.median(taken) for taken in times), _LEAST)


def _batch(do: Callable[[], object], count: int, seconds: float) -> float:
    return max(_each(lambda i: do(), 8, seconds) / count, _LEAST)


def _other_work(seconds: float) -> float:
    """The share of the processor's time that others take while this process wants all of it."""
    begun, spent = time.perf_counter(), time.process_time()
    while (taken := time.perf_counter() - begun) < seconds:
        pass
    return max(0.0, 1 - (time.process_time() - spent) / max(taken, _LEAST))


def _is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff")


def _median_size(images: Images) -> tuple[int, int] | None:
    if not isinstance(images, FileImages):
        return None
    heights, widths = zip(*(file.header.size for file in images.files), strict=True)
    return statistics.median_low(heights), statistics.median_low(widths)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """As in a worker process, which has one thread for its arithmetic."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
