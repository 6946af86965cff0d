from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.core.errors import DataError, ExhaustedError, SettingError
from netwright.data import foreign
from netwright.data.dataset import Dataset
from netwright.data.feed import Feed
from netwright.data.opening import open_dataset, read_options
from netwright.data.preprocessing import Preprocessing

HEAD = """
import numpy as np, torch
from torch.utils.data import TensorDataset
x, y = torch.rand(20, 1, 6, 6), torch.arange(20) % 2
"""


def made(tmp_path: Path, body: str, **options: object) -> Dataset:
    """What a factory with this body (and signature) gives."""
    head = body if body.startswith("def ") else f"def make():\n    {body}"
    (tmp_path / "mine.py").write_text(HEAD + head)
    return open_dataset(read_options({"name": f"{tmp_path}/mine.py:make", **options}), seed=3)


def test_pairs_of_tensors_are_taken(tmp_path: Path) -> None:
    dataset = made(tmp_path, "return (x[:12], y[:12]), (x[12:16], y[12:16]), (x[16:], y[16:])")
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        "train": 12,
        "val": 4,
        "test": 4,
    }
    assert dataset.shape == (1, 6, 6)
    assert dataset.classes == ("0", "1")


def test_map_style_data_sets_are_taken(tmp_path: Path) -> None:
    dataset = made(tmp_path, "return TensorDataset(x, y), TensorDataset(x[:4], y[:4])")
    assert len(dataset.splits["train"]) == 20
    assert dataset.splits["train"].read(0).dtype == torch.float32


def test_arrays_are_height_width_channels(tmp_path: Path) -> None:
    body = """
    some = [(np.full((4, 5, 3), i, np.uint8), i % 2) for i in range(6)]
    return some, some"""
    assert made(tmp_path, "pass" + body).shape == (3, 4, 5)


def test_a_mapping_may_name_the_classes(tmp_path: Path) -> None:
    body = "return {'train': (x, y), 'val': (x, y), 'classes': ['cat', 'dog']}"
    assert made(tmp_path, body).classes == ("cat", "dog")


def test_a_factory_gets_what_its_signature_names(tmp_path: Path) -> None:
    body = """def make(size, seed=0, spread=1.0):
    assert (size, seed, spread) == (9, 3, 2.5)
    return (torch.rand(4, 1, size, size), y[:4]), (x[:4, :, :size], y[:4])"""
    with pytest.raises(SettingError, match=r"takes no \"colour\".\nIt takes: seed, size, spread"):
        made(tmp_path, body, size=9, colour="red")
    dataset = made(tmp_path, body, size=9, spread=2.5)
    assert dataset.shape == (1, 9, 9)


def test_a_module_can_hold_the_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package_for_data.py").write_text(
        HEAD + "def make():\n    return (x, y), (x, y)"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = open_dataset(read_options({"name": "my_package_for_data:make"}), seed=0)
    assert len(dataset.splits["val"]) == 20


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return x, y", "returned tuple of 2"),
        ("return None", "returned NoneType.\nExpected .train, val."),
        ("return (x, y)[:1]", "returned tuple of 1"),
        ("return {'train': (x, y)}", "returned dict"),
        ("return (x, y[:5]), (x, y)", "train split of .* has 20 images but 5 labels"),
        ("return (x[0, 0, 0], y), (x, y)", "have the shape"),
        ("return (x[:0], y[:0]), (x, y)", "at least one image"),
        ("return (x, y / 2), (x, y)", "Label 1 of the train split is 0.5"),
        ("return (x, y - 1), (x, y)", "Label 0 of the train split is -1"),
        ("return (x, torch.eye(20)), (x, y)", "Label 0 of the train split is 1, 0, 0"),
        ("return (x.to(torch.complex64), y), (x, y)", "images of the train split .* are complex64"),
        ("return [(1, 2)], [(1, 2)]", "Image 0 of the train split of .* is int"),
        ("return [x], [y]", "Item 0 of the train split of .* is Tensor"),
        ("return 1, 2", "The train split of .* is int.\nExpected a map-style data set"),
        (
            "return [(x[0], 0), (x[0, :, :3], 1)], [(x[0], 0)]",
            "Image 1 of the train split of .* is .1, 3, 6., the first is .1, 6, 6.",
        ),
        (
            "return {'train': (x, y + 4), 'val': (x, y), 'classes': ['cat', 'dog']}",
            "names 2 classes, but its labels go up to 5",
        ),
        ("return (x, y * 10**12), (x, y)", "has a label 1000000000000, but only 40 images"),
        ("return (x.permute(0, 2, 3, 1), y), (x, y)", r"N, H, W, C"),
        ("return (x, ['cat'] * 20), (x, y)", "The labels of the train split .* read as a number"),
        ("return (np.array([['a']] * 20), y), (x, y)", "images of the train split of .* are <U1"),
        ("return [(x[0], 'cat')], [(x[0], 0)]", "The label of item 0 of the train split of "),
        (
            "return [(x[0].permute(1, 2, 0), 0)] * 9, [(x[0], 0)]",
            "have the shape .9, 6, 6, 1..\nExpected .N, C, H, W.; yours looks like",
        ),
        ("return (x, y), (x, y + 1)", 'Class "2" of .* occurs in val but not in training'),
    ],
)
def test_what_does_not_fit_says_what_was_expected(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        made(tmp_path, body)
    assert error.value.exit_code == 3


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_nan_in_the_data_is_found_with_its_index(tmp_path: Path, value: str) -> None:
    body = f"x[13, 0, 2, 2] = float('{value}'); return (x, y), (x[:4], y[:4])"
    with pytest.raises(DataError, match=r"Image 13 of the train split \(train-00013\) holds NaN"):
        made(tmp_path, body)


def test_a_file_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(SettingError, match=r"No file no/such.py"):
        open_dataset(read_options({"name": "no/such.py:make"}), seed=0)


def test_a_function_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def make_data():\n    pass")
    with pytest.raises(SettingError, match=r"Nearest: make_data"):
        open_dataset(read_options({"name": f"{tmp_path}/mine.py:make_dta"}), seed=0)


def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import no_such_package_anywhere")
    with pytest.raises(SettingError, match=r"ModuleNotFoundError: No module named 'no_such_pack"):
        open_dataset(read_options({"name": f"{tmp_path}/mine.py:make"}), seed=0)


VARYING = """
class Noisy:
    def __init__(self, count):
        self.targets = [i % 2 for i in range(count)]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError
        noise = torch.rand(1) + np.random.rand() + random.random()
        return torch.full((1, 4, 4), float(i)) + noise.float(), self.targets[i]
"""


def streamed(tmp_path: Path, **options: object) -> Dataset:
    (tmp_path / "noisy.py").write_text(
        "import random, numpy as np, torch\n"
        + VARYING
        + "def make():\n    return Noisy(24), Noisy(8)"
    )
    return open_dataset(read_options({"name": f"{tmp_path}/noisy.py:make", **options}), seed=3)


def _epochs(dataset: Dataset, workers: int, start: int = 0) -> list[torch.Tensor]:
    feed = Feed(
        dataset.splits["train"],
        batch=8,
        seed=5,
        preprocessing=Preprocessing(channels=1, size=(4, 4), mean=(0.0,), std=(1.0,)),
        workers=workers,
    )
    return [batch.images for batch in feed.iterate(start, 9)]


def test_items_that_vary_are_streamed_and_keep_varying(tmp_path: Path) -> None:
    train = streamed(tmp_path).splits["train"]
    assert not train.in_memory
    assert torch.equal(train.read(3), train.read(3)), "an evaluation sees one image"
    first, _, _, second, *_ = (batch.sum() for batch in _epochs(streamed(tmp_path), 0))
    assert first != second
    assert streamed(tmp_path, cache="memory").splits["train"].in_memory


def test_a_random_transform_gives_the_same_bits_with_any_workers_and_from_any_start(
    tmp_path: Path,
) -> None:
    whole = _epochs(streamed(tmp_path), 0)
    for workers, start in ((2, 0), (0, 4), (1, 7)):
        found = _epochs(streamed(tmp_path), workers, start)
        assert all(torch.equal(a, b) for a, b in zip(whole[start:], found, strict=True))


def test_reading_an_item_leaves_the_callers_generators_alone(tmp_path: Path) -> None:
    train = streamed(tmp_path).splits["train"]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train.read(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_data_set_that_is_streamed_on_demand_reads_its_labels_first(tmp_path: Path) -> None:
    body = "return TensorDataset(x, y), TensorDataset(x[:4], y[:4])"
    train = made(tmp_path, body, cache="stream").splits["train"]
    assert not train.in_memory
    assert train.labels.tolist() == [i % 2 for i in range(20)]
    assert train.name(7) == "train-00007"


def test_nan_in_a_streamed_data_set_is_found_when_it_is_read(tmp_path: Path) -> None:
    body = "x[13, 0, 2, 2] = float('nan'); return TensorDataset(x, y), TensorDataset(x, y)"
    dataset = made(tmp_path, body, cache="stream")
    with pytest.raises(DataError, match=r"Image 13 of the train split"):
        list(
            Feed(
                dataset.splits["train"],
                batch=4,
                seed=0,
                preprocessing=Preprocessing(channels=1, size=(6, 6), mean=(0.0,), std=(1.0,)),
            ).iterate(0, 5)
        )


def test_the_fingerprint_knows_the_pixels_whatever_size_is_asked_for(tmp_path: Path) -> None:
    def of(body: str, **options: object) -> Dataset:
        return made(tmp_path, f"x[:] = 0.5; {body}; return (x, y), (x[:4], y[:4])", **options)

    for options in ({}, {"size": 9}):
        plain = of("pass", **options).fingerprint()
        assert of("x[3, 0, 2, 2] = 0.25", **options).fingerprint() != plain
        assert of("1", **options).fingerprint() == plain


ITEMS = """
import os, random, sys
class Items:
    def __init__(self, item, count=24):
        self.item, self.count, self.reads = item, count, 0

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        self.reads += 1
        return self.item(self, i)

def pair(i):
    return torch.full((1, 4, 4), float(i)), i % 2

def leave(i):
    sys.exit(0)

def fail(i):
    raise RuntimeError("it is broken")
"""


def items(tmp_path: Path, item: str, count: str = "24", **options: object) -> Dataset:
    body = ITEMS + f"def make():\n    some = Items({item}, {count})\n    return some, some"
    (tmp_path / "mine.py").write_text(HEAD + body)
    return open_dataset(read_options({"name": f"{tmp_path}/mine.py:make", **options}), seed=3)


@pytest.mark.parametrize("cache", ["memory", "stream"])
@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("lambda s, i: fail(i) if i == 5 else pair(i)", r"Item 5 of .* RuntimeError: it is broken"),
        ("lambda s, i: leave(i) if i == 5 else pair(i)", r"Item 5 of .* raised SystemExit: 0"),
    ],
)
def test_what_an_item_raises_is_told_with_its_line(
    tmp_path: Path, item: str, message: str, cache: str
) -> None:
    with pytest.raises(DataError, match=message + r" \(.*mine.py:\d+\)"):
        items(tmp_path, item, cache=cache)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("call", ["fail", "leave"])
def test_what_an_item_raises_late_is_told_too(tmp_path: Path, call: str, workers: int) -> None:
    item = f"lambda s, i: {call}(i) if s.reads > 90 else pair(i)"
    dataset = items(tmp_path, item, cache="stream")
    with pytest.raises(DataError, match=r"Item \d+ of the train split .* raised"):
        _epochs(dataset, workers)


def test_a_worker_that_an_item_ends_is_told(tmp_path: Path) -> None:
    item = "lambda s, i: os._exit(9) if torch.utils.data.get_worker_info() else pair(i)"
    with pytest.raises(ExhaustedError, match="A data worker was killed or ended"):
        _epochs(items(tmp_path, item, cache="stream"), 1)


@pytest.mark.parametrize(
    ("count", "message"),
    [("-1", "The length of the train split .* raised ValueError"), ("2**62", "has the length 461")],
)
def test_a_length_that_is_none_is_told(tmp_path: Path, count: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        items(tmp_path, "lambda s, i: pair(i % 8)", count)


@pytest.mark.parametrize("cache", ["auto", "stream"])
def test_a_label_that_changes_from_read_to_read_is_told(tmp_path: Path, cache: str) -> None:
    item = "lambda s, i: (pair(i)[0], s.reads % 2)"
    with pytest.raises(DataError, match=r"The label of item \d+ of .* is not always the same"):
        _epochs(items(tmp_path, item, "23", cache=cache), 0)


def test_targets_that_the_items_turn_into_other_labels_are_not_believed(tmp_path: Path) -> None:
    item = "lambda s, i: (setattr(s, 'targets', [0] * 24), pair(i))[1]"
    train = items(tmp_path, item, cache="stream").splits["train"]
    assert train.labels.tolist() == [i % 2 for i in range(24)]


def test_sparse_images_and_those_with_a_history_are_taken(tmp_path: Path) -> None:
    body = "return (x.to_sparse(), y), (x.clone().requires_grad_(), y)"
    splits = made(tmp_path, body).splits
    assert torch.equal(splits["train"].read(3), splits["val"].read(3))


def test_a_set_of_arrays_is_read_once_an_item_and_not_twice(tmp_path: Path) -> None:
    class Counted:
        def __init__(self) -> None:
            self.read = 0

        def __len__(self) -> int:
            return 40

        def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
            self.read += 1
            return np.full((4, 4), i, np.uint8), i % 4

    given = Counted()
    source = foreign._Source(given, 40, "train", "data.py:make")
    images = source.streamed()
    images.draw_all(np.arange(8))  # finds out that these are no tensors
    given.read = 0
    assert images.draw_all(np.arange(8)) is None
    assert [int(images.draw(i, 0).flatten()[0]) for i in range(8)] == list(range(8))
    assert given.read == 8
