"""`netwright export`: one line, one file, and what it says about it."""

import json
import os
from pathlib import Path

import pytest

from netwright.cli import main


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("NETWRIGHT_LANG", "en")
        assert main(["train", "digits", "mlp", "steps=3", "model.hidden=[8]", "--quiet"]) == 0
    return place


@pytest.fixture(autouse=True)
def at_home(home, monkeypatch, _home):
    monkeypatch.chdir(home)
    yield
    for each in home.glob("*.pt2"):
        each.unlink()


def test_the_result_is_the_file_what_it_takes_and_how_near_it_is(netwright):
    answer = netwright("export", "latest", "a.pt2")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("wrote    a.pt2   torch-export, ")
    assert lines[1] == "takes    images: uint8 (N, 1, 8, 8), any N; preprocessing is inside"
    assert lines[2] == "gives    logits, probabilities"
    assert lines[3].startswith(
        "parity   64 validation images, batches of 1, 2, 7: logits differ by"
    )
    assert lines[3].endswith("same class first on 64/64")
    assert lines[4].startswith("speed    ")
    assert answer.err.startswith("Next: import json, numpy, torch")
    assert len(answer.err.splitlines()) == 7
    assert Path("a.pt2").is_file()


def test_under_json_it_is_one_document(netwright):
    answer = netwright("export", "latest", "a.pt2", "--json")
    document = json.loads(answer.out)
    assert (document["format"], document["kind"], document["file"]) == (1, "torch-export", "a.pt2")
    assert document["parity"]["agree"] == 64
    assert answer.err == ""


def test_in_chinese_it_says_the_same(netwright):
    answer = netwright("export", "latest", "a.pt2", "--lang", "zh", "-q")
    assert answer.err == ""
    assert "64 张验证图像" in answer.out


def test_a_format_alone_names_the_file_after_the_run(netwright):
    assert netwright("export", "latest", "--to", "torch-export").status == 0
    assert Path("latest.pt2").is_file()


def test_a_file_that_is_there_needs_a_yes(netwright):
    Path("a.pt2").write_text("old")
    answer = netwright("export", "latest", "a.pt2")
    assert (answer.status, answer.out) == (2, "")
    assert "--yes" in answer.err
    assert Path("a.pt2").read_text() == "old"
    assert netwright("export", "latest", "a.pt2", "--yes").status == 0
    assert Path("a.pt2").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["latest", "a.onxx"], 2, "Nearest: .onnx."),
        (["latest", "a.pt2", "--format", "onnx"], 2, "ends as a file of torch-export"),
        (["latest", "none/a.pt2"], 2, "there is no folder none"),
        (["nothing", "a.pt2"], 2, 'No run called "nothing"'),
        (["latest", "a.pt2", "--images", "none.png"], 3, "None of the 1 images"),
        (["latest", "a.pt2", "optim.lr=3"], 2, "takes no settings"),
        ([], 2, "netwright export needs RUN."),
    ],
)
def test_what_does_not_fit_is_told_with_its_status(netwright, words, status, message):
    answer = netwright("export", *words)
    assert (answer.status, answer.out) == (status, "")
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not Path("a.pt2").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/proc/1").is_dir(), reason="needs /proc")
def test_a_folder_that_cannot_be_written_is_status_6(netwright):
    answer = netwright("export", "latest", "/proc/1/a.pt2")
    assert answer.status == 6
    assert "Cannot write /proc/1/a.pt2" in answer.err


def test_the_formats_are_listed(netwright):
    document = json.loads(netwright("ls", "formats", "--json").out)
    assert {each["name"]: each["suffix"] for each in document["formats"]} == {
        "onnx": ".onnx", "safetensors": ".safetensors", "torch-export": ".pt2",
    }  # fmt: skip
