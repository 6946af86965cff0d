"""`netwright inspect`: its table, its document, its pictures, and what it refuses."""

import json
import os
import shlex

import pytest

from netwright.core.cells import width


def test_the_table_of_resnet18_is_the_published_one(netwright):
    answer = netwright("inspect", "resnet18")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0] == "resnet18   input 1x3x224x224   float32"
    assert lines[1].split() == ["layer", "output", "params", "MACs", "act", "MB", "RF", "stride"]
    rows = {line.split()[0]: line.split() for line in lines[2:12]}
    assert rows["conv1"] == ["conv1", "64x112x112", "9,408", "118.0", "M", "3.21", "7", "2"]
    assert rows["layer3"][1:5] == ["256x14x14", "2,099,712", "411.0", "M"]
    assert rows["layer4"][-2:] == ["435", "32"]
    assert rows["total"][:5] == ["total", "1000", "11,689,512", "1.814", "G"]
    assert "OK      parameter total equals sum(p.numel()): 11,689,512" in lines
    (flops,) = [line for line in lines if line.startswith("FLOPs")]
    assert flops.startswith("FLOPs   3.628 G = 2 x 1.814 G multiply-adds")
    assert max(map(width, lines)) <= 80


def test_the_lines_it_offers_next_can_be_typed(netwright):
    answer = netwright("inspect", "lenet5", "model.act=relu")
    offered = [line[6:] for line in answer.err.splitlines() if line[:6] in ("Next: ", " " * 6)]
    assert offered == ["netwright inspect lenet5 model.act=relu --training"]
    for line in offered:
        assert netwright(*shlex.split(line)[1:]).status == 0


def test_the_document_is_one_and_whole(netwright):
    answer = netwright("inspect", "lenet5", "--json", "--training")
    document = json.loads(answer.out)
    assert document["format"] == 1
    assert document["totals"]["macs"] == 416_520
    assert document["training"]["optimizer"] == "sgd"
    assert {"layers", "operations", "parameters", "findings", "convention"} <= set(document)
    assert answer.err == ""


def test_a_small_image_is_warned_of_and_the_small_stem_cures_it(netwright):
    answer = netwright("inspect", "resnet18", "--input", "3x32x32")
    assert "WARN    tiny-feature-map" in answer.out
    assert "model.stem=small" in answer.out
    cured = netwright("inspect", "resnet18", "--input", "3x32x32", "model.stem=small")
    assert "tiny-feature-map" not in cured.out


def test_a_training_step_tells_its_peak_and_its_parts(netwright):
    out = netwright("inspect", "lenet5", "--training", "--batch", "4", "optim=adamw").out
    assert "a training step (adamw, batch 4) takes" in out
    assert "optimizer state" in out
    assert "backward" in out


def test_the_start_is_looked_at_on_images_or_noise(netwright):
    assert "Steady" in netwright("inspect", "lenet5", "--initial", "digits").out
    assert netwright("inspect", "mlp", "--initial", "noise").status == 0


def test_two_networks_stand_beside_each_other(netwright):
    answer = netwright("inspect", "resnet34", "--versus", "resnet18")
    assert "2 / 1" in answer.out
    assert any(line.split()[:2] == ["parameters", "21,797,672"] for line in answer.out.splitlines())
    document = json.loads(netwright("inspect", "lenet5", "--versus", "lenet5", "--json").out)
    assert document["versus"]["ratios"]["macs"] == 1.0


def test_settings_of_the_second_network_begin_with_other(netwright):
    line = ("inspect", "mlp", "--versus", "mlp", "--input", "1x4x4", "--json")
    answer = netwright(*line, "model.hidden=[8]", "other.hidden=[4]")
    document = json.loads(answer.out)
    assert document["totals"]["params"] == 16 * 8 + 8 + 8 * 10 + 10
    assert document["versus"]["right"]["params"] == 16 * 4 + 4 + 4 * 10 + 10
    assert answer.err == ""
    assert "takes its own: other.KEY=VALUE" in netwright(*line, "model.hidden=[8]").err


@pytest.mark.parametrize("columns", ["40", "60", "80", "120"])
def test_no_line_is_wider_than_the_terminal(netwright, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for language in ("en", "zh"):
        out = netwright("inspect", "lenet5", "--lang", language).out
        assert max(map(width, out.splitlines())) <= int(columns)


def test_it_speaks_chinese(netwright):
    out = netwright("inspect", "lenet5", "--lang", "zh").out
    assert "参数总量等于 sum(p.numel())：61,706" in out
    assert "感受野" in out


def test_pictures_are_files_of_their_own(netwright, tmp_path):
    words = ("inspect", "lenet5", "--layer", "c3", "--unit", "2,3")
    assert netwright(*words, "--picture", "a.svg").out.splitlines()[-1] == "wrote a.svg"
    assert netwright(*words, "--picture", "a.html").status == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.html", "a.svg"]
    assert "c3, unit (2, 3)" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["inspect"], "netwright inspect needs MODEL"),
        (["inspect", "resnet8"], "Nearest: resnet"),
        (["inspect", "lenet5", "--input", "1x32"], "lenet5 takes images; 1x32 is none."),
        (["inspect", "lenet5", "--input", "hello"], '--input: "hello" is no shape.'),
        (["inspect", "lenet5", "--depth", "-1"], "--depth: expected at least 0, not -1."),
        (["inspect", "lenet5", "--batch", "0"], "--batch: expected at least 1, not 0."),
        (["inspect", "lenet5", "--unit", "3"], '--unit: "3" is no place in a map.'),
        (["inspect", "lenet5", "epochs=3"], "epochs has no meaning here."),
        (["inspect", "lenet5", "model.wdith=2"], "model.wdith"),
        (["inspect", "lenet5", "--picture", "a.png"], "a picture is an .svg file"),
        (["inspect", "lenet5", "--picture", "pipe.svg"], "no regular file"),
        (["inspect", "lenet5", "--picture", "no/a.svg"], "there is no folder no"),
        (["inspect", "lenet5", "--picture", "a.svg", "--layer", "c9"], 'No layer called "c9".'),
        (["inspect", "lenet5", "--input", "-1x28x28"], "sizes are at least 1."),
        (["inspect", "lenet5", "--input", "0x28x28"], "has a size of 0; sizes are at least 1."),
        (["inspect", "lenet5", "--training", "optim=lbgfs"], "lbgfs"),
        (["inspect", "lenet5", "optim=adam"], "Add --training."),
        (["inspect", "lenet5", "other.act=relu"], "Add --versus OTHER."),
        (["inspect", "lenet5", "--versus", "lenet5", "other.wdith=2"], "begin with other."),
        (["inspect", "lenet5", "--initial", "diggits"], "diggits"),
        (["inspect", "timm:resnet18"], "timm"),
        (["inspect", "lenet5", "--versus", "lenet6"], 'No model called "lenet6".'),
    ],
)
def test_a_wrong_line_ends_with_2_and_says_why(netwright, words, told):
    os.mkfifo("pipe.svg")
    answer = netwright(*words)
    assert answer.status == 2, answer.err
    assert told in answer.err
    assert answer.out == ""


def test_an_image_that_cannot_be_read_is_a_fault_of_the_data(netwright, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    answer = netwright("inspect", "lenet5", "--picture", "a.svg", "--image", "a.png")
    assert answer.status == 3
    assert "a.png" in answer.err


def test_a_place_that_cannot_be_written_ends_with_6(netwright, tmp_path, monkeypatch):
    from netwright.core.atomic import disk

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write", full)
    answer = netwright("inspect", "lenet5", "--picture", "a.svg")
    assert answer.status == 6
    assert list(tmp_path.iterdir()) == []
