"""The first images of a data set, as a network would read them: for what is measured on a batch."""

from __future__ import annotations

from torch import Tensor

from netwright.core.errors import DataError, SettingError
from netwright.data.feed import Feed
from netwright.data.opening import open_dataset, read_options
from netwright.data.preprocessing import Preprocessing
from netwright.data.statistics import channel_statistics


def first_images(data: str, sample: tuple[int, ...], *, count: int = 64) -> tuple[Tensor, Tensor]:
    """At most `count` training images of `data`, shuffled by seed 0, brought to `sample` (C, H, W)
    and normalised by their own statistics, and their classes.

    Raises `SettingError` for a sample that is no image, `DataError` for data without training
    images.
    """
    if len(sample) != 3 or sample[0] not in (1, 3) or sample[1] != sample[2]:
        raise SettingError(
            "Images cannot be brought to {sample}.",
            hint="Expected 1 or 3 channels and a square, such as 3x224x224.",
            sample="x".join(map(str, sample)),
        )
    options = {"name": data, "size": sample[1], "channels": sample[0], "workers": 0}
    dataset = open_dataset(read_options(options), seed=0)
    if "train" not in dataset.splits:
        raise DataError("{name} has no training images.", name=dataset.name)
    images = dataset.splits["train"]
    mean, std = channel_statistics(images)
    channels, height, width = dataset.shape
    seen = Preprocessing(channels=channels, size=(height, width), mean=mean, std=std)
    feed = Feed(images, batch=min(count, len(images)), seed=0, preprocessing=seen, workers=0)
    batch = next(iter(feed.iterate(0, 1)))
    return batch.images, batch.target
