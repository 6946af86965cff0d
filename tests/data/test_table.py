from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from netwright.core.errors import DataError, SettingError
from netwright.data.dataset import Dataset
from netwright.data.opening import open_dataset, read_options

from .conftest import picture


def table(tmp_path: Path, text: str, *, name: str = "images.csv") -> Path:
    """A table in a folder with the pictures 0.png to 9.png."""
    for i in range(10):
        picture(colour=(20 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / name).write_text(text)
    return tmp_path / name


def opened(path: Path, **options: object) -> Dataset:
    return open_dataset(read_options({"name": str(path), **options}), seed=0, splits_needed=())


def labels(dataset: Dataset, split: str = "all") -> list[str]:
    return [dataset.classes[number] for number in dataset.splits[split].labels]


ROWS = "\n".join(f"{i}.png,{'cat' if i < 5 else 'dog'}" for i in range(10))


def test_columns_are_found_by_their_names_and_said(tmp_path: Path) -> None:
    dataset = opened(table(tmp_path, "filename,Label\n" + ROWS))
    assert labels(dataset) == ["cat"] * 5 + ["dog"] * 5
    (note,) = dataset.notes
    assert "filename is the path, Label the label, - the split" in note.template.format(
        **note.values
    )


def test_columns_without_names_are_found_by_what_is_in_them(tmp_path: Path) -> None:
    assert labels(opened(table(tmp_path, ROWS))) == ["cat"] * 5 + ["dog"] * 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "path,label\n" + ROWS
    assert len(labels(opened(table(tmp_path, text.replace(",", delimiter))))) == 10


def test_jsonl_is_read(tmp_path: Path) -> None:
    text = '{"image": "0.png", "label": 7}\n\n{"image": "1.png", "label": 12}\n'
    dataset = opened(table(tmp_path, text, name="images.jsonl"))
    assert dataset.classes == ("7", "12")


def test_numbers_keep_their_order(tmp_path: Path) -> None:
    text = "path,label\n0.png,10\n1.png,9\n2.png,2\n"
    assert opened(table(tmp_path, text)).classes == ("2", "9", "10")


def test_a_split_column_is_obeyed(tmp_path: Path) -> None:
    words = ["train"] * 6 + ["valid"] * 2 + ["Test"] * 2
    rows = "\n".join(f"{i}.png,{'ab'[i % 2]},{word}" for i, word in enumerate(words))
    dataset = opened(table(tmp_path, "path,label,split\n" + rows))
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        "train": 6,
        "val": 2,
        "test": 2,
    }


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = "a,b,c\n" + "\n".join(f"{i}.png,{'xy'[i % 2]},{i}" for i in range(10))
    with pytest.raises(DataError, match=r"Cannot tell which columns .* it has a, b, c"):
        opened(table(tmp_path, text))
    dataset = opened(table(tmp_path, text), path_column="a", label_column="b")
    assert dataset.classes == ("x", "y")


def test_a_column_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r'no column "lable" in .*\nIt has: path, label'
    ) as error:
        opened(table(tmp_path, "path,label\n" + ROWS), label_column="lable")
    assert error.value.exit_code == 2


def test_paths_that_are_not_utf8_are_found(tmp_path: Path) -> None:
    path = table(tmp_path, "")
    os.rename(tmp_path / "0.png", os.fsencode(tmp_path) + b"/\xff.png")
    path.write_bytes(b"path,label\n\xff.png,a\n1.png,b\n")
    assert opened(path).splits["all"].name(0) == os.fsdecode(b"\xff.png")


def test_a_path_may_not_leave_the_folder_unless_a_root_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    table(tmp_path, "")
    (inner / "t.csv").write_text("path,label\n" + ROWS.replace("0.png", f"{tmp_path}/0.png"))
    with pytest.raises(DataError, match=r"None of the 10 images"):
        opened(inner / "t.csv")
    dataset = opened(inner / "t.csv", root=str(tmp_path))
    assert len(dataset.splits["all"]) == 10


def test_missing_files_are_left_out_and_named(tmp_path: Path) -> None:
    dataset = opened(table(tmp_path, "path,label\n" + ROWS + "\ngone.png,cat"))
    assert dataset.quarantined == (("gone.png", "no such file or directory"),)


def test_a_label_known_to_validation_only_is_named(tmp_path: Path) -> None:
    text = "path,label,split\n0.png,a,train\n1.png,b,train\n2.png,c,val\n"
    with pytest.raises(DataError, match=r'Class "c" of .* occurs in val but not in training'):
        open_dataset(read_options({"name": str(table(tmp_path, text))}), seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("path,label\n", "it has 0 rows of 2 columns"),
        ("path,label\n0.png,a\n1.png\n", "line 3 has 1 columns, the first 2"),
        ("path,label\n0.png,a\n1.png,\n", "Line 3 of .* does not fit: it has no label"),
        ("path,label\n0.png,a\n,b\n", "Line 3 of .* does not fit: it has no path"),
        ("path,label\n0.png,1\n1.png,0.5\n", 'Line 3 .* the label "0.5" is a number that is not w'),
        ("path,label\n0.png,a\n0.png,b\n", 'Line 3 .* 0.png is "b" here and "a" in line 2'),
        ("path,label\n0.png,a\n./0.png,b\n", 'Line 3 .* "b" here and "a" in line 2'),
        (
            "path,label,split\n0.png,a,train\n1.png,b,train\n\n0.png,a,test\n",
            'Line 5 of .*images.csv .* 0.png is "test" here and "train" in line 2',
        ),
        ("path,label,split\n0.png,a,later\n", 'Line 2 .* "later" is no split'),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        opened(table(tmp_path, text))
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"path": "0.png"', "line 1 is no JSON"),
        ("[1, 2]", "line 1 is no JSON object"),
        ('\n{"path": "0.png", "label": "\\ud800"}', "line 2 holds half a character"),
        ('{"path": "\\ud800.png", "label": "a"}', "line 1 holds half a character"),
        ('\n{"path": "\\u00000.png", "label": "a"}', "Line 2 .* its path holds a zero character"),
    ],
)
def test_a_line_that_is_no_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(table(tmp_path, text, name="images.jsonl"))


def test_a_table_can_be_trained_on(tmp_path: Path) -> None:
    dataset = open_dataset(
        read_options({"name": str(table(tmp_path, "path,label\n" + ROWS)), "val_share": 0.2}),
        seed=0,
    )
    assert np.bincount(dataset.splits["val"].labels).tolist() == [1, 1]


def test_rows_that_repeat_a_file_are_left_out_and_counted(tmp_path: Path) -> None:
    dataset = opened(table(tmp_path, "path,label\n" + ROWS + "\n0.png,cat\n./1.png,cat"))
    assert len(dataset.splits["all"]) == 10
    [note] = [each for each in dataset.notes if "repeat an earlier one" in each.template]
    assert note.values == {"count": 2}


@pytest.mark.parametrize("rows", ["{}\n" + ROWS, ROWS + "\n{}"])
def test_a_cell_that_is_too_long_is_no_crash(tmp_path: Path, rows: str) -> None:
    text = "path,label\n" + rows.format("1.png," + "x" * 200_000)
    with pytest.raises(DataError, match="it is no CSV file"):
        opened(table(tmp_path, text))


def test_utf16_is_called_by_its_name(tmp_path: Path) -> None:
    path = table(tmp_path, "")
    path.write_bytes(("path,label\n" + ROWS).encode("utf-16"))
    with pytest.raises(DataError, match="it is UTF-16, not UTF-8"):
        opened(path)


@pytest.mark.parametrize("value", ["ab", "", '"'])
def test_a_delimiter_is_one_character(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingError, match=f'data.delimiter="{value}" is no delimiter'):
        opened(table(tmp_path, "path,label\n" + ROWS), delimiter=value)


def test_a_root_that_is_no_folder_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.root=nowhere is no folder"):
        opened(table(tmp_path, "path,label\n" + ROWS), root="nowhere")
