from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.core.errors import DataError
from netwright.data.dataset import Dataset
from netwright.data.given import open_images
from netwright.data.opening import DataOptions, open_dataset

from .conftest import picture


def opened(path: Path, **options: object) -> Dataset:
    return open_dataset(DataOptions(name=str(path), **options), seed=0)


def names(dataset: Dataset) -> list[str]:
    return [images.name(i) for images in dataset.splits.values() for i in range(len(images))]


def texts(dataset: Dataset) -> str:
    return "\n".join(note.template.format(**note.values) for note in dataset.notes)


@pytest.fixture
def with_splits(flowers: Path) -> Path:
    shutil.copytree(flowers, flowers.parent / "all" / "train")
    shutil.copytree(flowers, flowers.parent / "all" / "valid")
    shutil.copytree(flowers, flowers.parent / "all" / "test")
    return flowers.parent / "all"


def test_classes_are_the_sorted_names_of_the_folders(flowers: Path) -> None:
    (flowers / "Aster").mkdir()
    for i in range(2):
        picture().save(flowers / "Aster" / f"{i}.png")
    assert opened(flowers).classes == ("Aster", "rose", "tulip")


def test_splits_given_by_folders_stay_and_guesses_are_said(with_splits: Path) -> None:
    dataset = opened(with_splits)
    assert {split: len(images) for split, images in dataset.splits.items()} == {
        "train": 20,
        "val": 20,
        "test": 20,
    }
    assert "The folder valid/ is taken as the val split" in texts(dataset)


def test_without_val_the_training_folder_gives_it_and_test_stays_test(with_splits: Path) -> None:
    shutil.rmtree(with_splits / "valid")
    dataset = opened(with_splits)
    assert {split: len(images) for split, images in dataset.splits.items()} == {
        "train": 18,
        "val": 2,
        "test": 20,
    }


def test_other_folders_beside_the_splits_are_passed_over_and_said(with_splits: Path) -> None:
    (with_splits / "notes").mkdir()
    assert "passed over: notes" in texts(opened(with_splits))


def test_two_folders_for_one_split_are_a_question_not_a_guess(with_splits: Path) -> None:
    shutil.copytree(with_splits / "valid", with_splits / "val")
    with pytest.raises(DataError, match=r"val/, valid/: each could be the val split"):
        opened(with_splits)


def test_images_deep_in_a_class_folder_belong_to_it(flowers: Path) -> None:
    (flowers / "rose" / "garden").mkdir()
    picture().save(flowers / "rose" / "garden" / "x.png")
    assert "rose/garden/x.png" in names(opened(flowers))


def test_files_come_in_the_order_of_their_bytes(flowers: Path) -> None:
    for name in ("Z.png", "é.png", "a.png"):
        picture().save(flowers / "rose" / name)
    dataset = open_dataset(DataOptions(name=str(flowers)), seed=0, splits_needed=())
    roses = [name.removeprefix("rose/") for name in names(dataset) if name.startswith("rose")]
    assert roses == [*(f"{i}.png" for i in range(10)), "Z.png", "a.png", "é.png"]


def test_names_that_are_not_utf8_are_read(flowers: Path) -> None:
    raw = os.fsencode(flowers / "rose") + b"/\xff\xfe.png"
    os.rename(flowers / "rose" / "0.png", raw)
    dataset = opened(flowers)
    assert os.fsdecode(b"rose/\xff\xfe.png") in names(dataset)
    assert len(dataset.fingerprint()) == 32


def test_hidden_files_and_folders_are_passed_over(flowers: Path) -> None:
    (flowers / ".cache").mkdir()
    shutil.copy(flowers / "rose" / "0.png", flowers / "rose" / "._0.png")
    dataset = opened(flowers)
    assert dataset.classes == ("rose", "tulip")
    assert len(names(dataset)) == 20


def test_files_that_are_no_images_are_counted(flowers: Path) -> None:
    (flowers / "rose" / "readme.txt").write_text("hello")
    assert "1 files are no images by their names and were passed over: 1 .txt" in texts(
        opened(flowers)
    )


def test_odd_images_are_read_and_said(flowers: Path) -> None:
    picture().convert("RGBA").save(flowers / "rose" / "alpha.png")
    picture().convert("CMYK").save(flowers / "rose" / "press.jpg")
    picture().save(
        flowers / "tulip" / "film.gif", save_all=True, append_images=[picture(colour=(1, 1, 1))]
    )
    dataset = opened(flowers)
    assert len(names(dataset)) == 23
    for said in ("1 images have transparent", "1 images are CMYK", "1 images have several frames"):
        assert said in texts(dataset)


def test_bad_files_are_left_out_with_a_count_and_a_list(flowers: Path) -> None:
    (flowers / "rose" / "torn.png").write_bytes((flowers / "rose" / "0.png").read_bytes()[:60])
    (flowers / "tulip" / "text.jpg").write_text("no image")
    os.mkfifo(flowers / "tulip" / "pipe.png")
    dataset = opened(flowers)
    assert len(names(dataset)) == 20
    assert sorted(name for name, _ in dataset.quarantined) == [
        "rose/torn.png",
        "tulip/pipe.png",
        "tulip/text.jpg",
    ]
    assert "3 files were left out" in texts(dataset)


def test_more_bad_files_than_are_forgiven_are_refused(flowers: Path) -> None:
    for i in range(6):
        (flowers / "rose" / f"torn{i}.png").write_text("no image")
    with pytest.raises(DataError, match=r"6 of 26 images cannot be read; 5 are forgiven") as error:
        opened(flowers)
    assert error.value.exit_code == 3
    assert len(names(opened(flowers, max_unreadable=0.3))) == 20


def test_not_one_bad_file_is_forgiven_when_none_may_be(flowers: Path) -> None:
    (flowers / "rose" / "torn.png").write_text("no image")
    with pytest.raises(DataError, match=r"1 of 21 images cannot be read; 0 are forgiven"):
        opened(flowers, max_unreadable=0)


def test_no_link_leaves_the_root(flowers: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "secret.png")
    (flowers / "rose" / "out.png").symlink_to(tmp_path / "secret.png")
    (flowers / "rose" / "up").symlink_to(tmp_path)
    (flowers / "rose" / "in.png").symlink_to(flowers / "rose" / "1.png")
    dataset = opened(flowers)
    assert sorted(dataset.quarantined) == [
        ("rose/out.png", "a link that leaves the folder"),
        ("rose/up", "a link that leaves the folder"),
    ]
    assert "rose/in.png" in names(dataset)


def test_links_in_a_circle_have_an_end(flowers: Path) -> None:
    (flowers / "rose" / "again").symlink_to(flowers / "rose")
    assert ("rose/again", "a link in a circle") in opened(flowers).quarantined


def test_a_link_to_nothing_is_left_out(flowers: Path) -> None:
    (flowers / "rose" / "gone.png").symlink_to(flowers / "rose" / "nothing.png")
    assert ("rose/gone.png", "not a regular file") in opened(flowers).quarantined


def test_a_folder_of_text_files_is_told_what_was_found_and_expected(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(DataError, match=r"no class folders: 0 images and 3 other files \(2 .txt"):
        opened(tmp_path)


def test_class_folders_of_text_files_are_told_so_too(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.txt").write_text("hello")
    with pytest.raises(DataError, match=r"No image in .*: 2 folders with 2 other files \(2 .txt\)"):
        opened(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no class folders: 0 images and 0 other files"):
        opened(tmp_path)


def test_images_without_class_folders_are_counted_in_the_message(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"no class folders: 1 images") as error:
        opened(tmp_path)
    assert "CLASS/*.jpg" in str(error.value)


def test_an_empty_class_is_named(flowers: Path) -> None:
    (flowers / "weed").mkdir()
    with pytest.raises(DataError, match=r'Class "weed" of .* is empty'):
        opened(flowers)


def test_a_class_with_one_image_is_named_with_its_count(flowers: Path) -> None:
    (flowers / "weed").mkdir()
    picture().save(flowers / "weed" / "only.png")
    with pytest.raises(DataError, match=r'Class "weed" has 1 image') as error:
        opened(flowers)
    assert error.value.exit_code == 3


def test_a_single_class_is_refused(flowers: Path) -> None:
    shutil.rmtree(flowers / "tulip")
    with pytest.raises(DataError, match=r"has one class only: rose"):
        opened(flowers)


def test_a_class_that_only_validation_knows_is_named(with_splits: Path) -> None:
    shutil.rmtree(with_splits / "train" / "rose")
    with pytest.raises(DataError, match=r'Class "rose" of .* occurs in val, test but not in train'):
        opened(with_splits)


def test_a_folder_that_may_not_be_read_is_named(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, whom no permission stops: refuse in its place.
    scandir = os.scandir

    def refusing(path: str):  # type: ignore[no-untyped-def]
        if str(path).endswith("rose"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"Cannot look into .*rose: permission denied"):
        opened(flowers)


def test_images_of_one_size_keep_it(flowers: Path) -> None:
    assert opened(flowers).shape == (3, 12, 12)


def test_images_of_different_sizes_get_the_median_short_side_and_this_is_said(
    flowers: Path,
) -> None:
    for i in range(4):
        picture(size=(20, 30)).save(flowers / "rose" / f"wide-{i}.png")
    dataset = opened(flowers)
    assert dataset.shape == (3, 12, 12)
    assert "sides of 12 to 30 pixels: the short side is brought to 12" in texts(dataset)


def test_large_images_become_224(flowers: Path) -> None:
    for i, file in enumerate(flowers.rglob("*.png")):
        picture(size=(300 + i, 400)).save(file)
    assert opened(flowers).shape == (3, 224, 224)


def test_an_odd_file_among_many_does_not_change_the_size(flowers: Path) -> None:
    picture(size=(300, 200)).save(flowers / "rose" / "large.png")
    (flowers / "rose" / "torn.png").write_bytes(b"no image")
    dataset = opened(flowers)
    assert dataset.shape == (3, 12, 12)
    assert "20 of 21 images are 12x12: the others are brought to that" in texts(dataset)


def test_grey_images_have_one_channel(flowers: Path) -> None:
    for path in flowers.rglob("*.png"):
        picture().convert("L").save(path)
    assert opened(flowers).shape == (1, 12, 12)


def test_a_file_torn_after_the_scan_is_replaced_in_training(flowers: Path) -> None:
    from netwright.data.feed import Feed
    from netwright.data.preprocessing import Preprocessing

    train = opened(flowers, cache="stream").splits["train"]
    (flowers / train.name(3)).write_text("torn")
    plain = Preprocessing(channels=3, size=(12, 12), mean=(0.0,) * 3, std=(1.0,) * 3)
    feed = Feed(train, batch=18, seed=0, preprocessing=plain, workers=2)
    batch = next(iter(feed.iterate(0, 1)))
    assert batch.replaced == ((train.name(3), train.name(4)),)


def test_given_images_come_one_by_one_with_their_errors(flowers: Path, tmp_path: Path) -> None:
    (flowers / "rose" / "torn.png").write_text("torn")
    items = list(open_images([flowers / "rose", tmp_path / "gone.png"], shape=(3, 6, 6)))
    assert [item.image.shape for item in items[:10] if item.image is not None] == [(3, 6, 6)] * 10
    assert [(Path(item.file).name, item.error) for item in items[10:]] == [
        ("torn.png", "not an image of a known format"),
        ("gone.png", "no such file or directory"),
    ]


def test_given_images_are_read_as_training_read_them(flowers: Path) -> None:
    dataset = open_dataset(DataOptions(name=str(flowers), size=7), seed=0, splits_needed=()).splits[
        "all"
    ]
    items = list(open_images([flowers], shape=(3, 7, 7)))
    for i, item in enumerate(items):
        assert item.image is not None
        assert np.array_equal(item.image.numpy(), dataset.read(i).numpy())


def test_a_given_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"No image in .*: 1 other files \(1 .txt\)"):
        list(open_images([tmp_path], shape=(1, 8, 8)))


@pytest.mark.parametrize("cache", ["memory", "stream"])
def test_the_fingerprint_knows_what_is_in_the_files(flowers: Path, cache: str) -> None:
    for file in flowers.rglob("*.png"):  # all of one length
        Image.open(file).save(file.with_suffix(".ppm"))
        file.unlink()
    before = opened(flowers, cache=cache).fingerprint()
    (flowers / "rose").rename(flowers / "other")
    (flowers / "tulip").rename(flowers / "rose")
    (flowers / "other").rename(flowers / "tulip")
    swapped = opened(flowers, cache=cache).fingerprint()
    assert swapped != before
    (flowers / "rose" / "0.ppm").rename(flowers / "x")
    (flowers / "rose" / "1.ppm").rename(flowers / "rose" / "0.ppm")
    (flowers / "x").rename(flowers / "rose" / "1.ppm")
    assert opened(flowers, cache=cache).fingerprint() not in (before, swapped)


def test_the_fingerprint_is_the_same_in_memory_and_streamed(flowers: Path) -> None:
    held = opened(flowers, cache="memory").fingerprint()
    assert opened(flowers, cache="stream").fingerprint() == held


def test_a_link_to_itself_is_quarantined(flowers: Path) -> None:
    for name in ("rose/loop.png", "rose/loop", "circle"):
        (flowers / name).symlink_to(Path(name).name)
    assert opened(flowers).quarantined == (("rose/loop.png", "not a regular file"),)


def test_a_misspelt_split_is_answered_with_the_nearest(with_splits: Path) -> None:
    shutil.copytree(with_splits / "valid", with_splits / "tests")
    found = texts(opened(with_splits))
    assert "The folder tests/ is no split and was passed over: did you mean test/?" in found


def test_a_class_called_train_is_told_what_it_was_taken_for(flowers: Path) -> None:
    (flowers / "rose").rename(flowers / "train")
    with pytest.raises(DataError, match=r"train/ is taken as the train split, and expected to hol"):
        opened(flowers)
    (flowers / "train" / "deep").mkdir()
    picture().save(flowers / "train" / "deep" / "x.png")
    with pytest.raises(DataError, match="deep"):
        opened(flowers)


def test_a_class_name_without_end_is_cut_in_messages(tmp_path: Path) -> None:
    name = "x" * 250
    (tmp_path / "set" / name).mkdir(parents=True)
    picture().save(tmp_path / "set" / name / "0.png")
    with pytest.raises(DataError, match=r'Class "x{200}\.\.\." has 1 image'):
        opened(tmp_path / "set")
