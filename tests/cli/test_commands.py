"""Each command with real rooms behind it: one tiny run, looked at by all."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.cli import main
from netwright.cli.commands.predict import _csv
from netwright.tasks.using import Prediction, Predictions

TINY = ["train", "digits", "mlp", "steps=3", "epochs=1", "model.hidden=[8]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with one finished run and three images, one of them broken."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("NETWRIGHT_LANG", "en")
        assert main([*TINY, "--quiet"]) == 0
    for name in ("a.png", "=b.png"):
        Image.fromarray(np.full((8, 8), 9, np.uint8)).save(place / name)
    (place / "c.png").write_bytes(b"no image")
    return place


@pytest.fixture
def at_home(home, monkeypatch):
    monkeypatch.chdir(home)
    return home


def test_train_leaves_a_run_a_report_and_two_lines_to_go_on_with(netwright):
    answer = netwright(*TINY)
    assert answer.status == 0
    said = [line.split() for line in answer.out.splitlines() if line and not line.startswith(" ")]
    assert [words[0] for words in said[:4]] == ["best", "step", "weights", "report"]
    assert said[0][1] == "val/acc1"
    assert Path(said[2][1]).name == "best.safetensors"
    assert Path(said[3][1]).is_file()
    assert "\r" not in answer.err
    for word in (
        "run   runs/",
        "data  ",
        "plan  mlp",
        "epoch  train/loss",
        "Next: netwright report",
    ):
        assert word in answer.err


def test_a_run_that_keeps_the_last_weights_claims_no_best(netwright):
    answer = netwright(*TINY, "run.select=last")
    line = answer.out.splitlines()[0]
    assert line.startswith("last     val/acc1 ")
    assert line.endswith(" at epoch 1  (run.select=last)")
    assert "best" not in answer.err


def test_train_json_is_one_document(netwright):
    answer = netwright(*TINY, "--json")
    document = json.loads(answer.out)
    assert document["best"]["metric"] == "val/acc1"
    assert {"run", "status", "epochs", "steps", "best"} <= set(document)


def test_a_dry_run_keeps_nothing(netwright, tmp_path):
    answer = netwright("train", "digits", "mlp", "--dry-run", "-q")
    assert (answer.status, answer.out) == (0, "OK    two steps of everything went well\n")
    assert list(tmp_path.iterdir()) == []


def test_seed_is_short_for_a_setting_and_must_agree_with_it(netwright):
    answer = netwright("config", "show", "digits", "--seed", "3", "--json")
    assert json.loads(answer.out)["settings"]["seed"] == {"value": 3, "origin": "command line"}
    assert netwright("config", "show", "digits", "--seed", "3", "seed=4").status == 2


def test_the_same_command_again_prints_the_result_and_trains_nothing(netwright):
    command = [*TINY, "--run-dir", "r", "--resume", "auto"]
    first = netwright(*command)
    again = netwright(*command)
    assert (first.status, again.status) == (0, 0)
    assert again.out == first.out
    assert "epoch  train/loss" not in again.err


def test_a_finished_run_goes_on_when_more_is_asked_for(netwright):
    netwright(*TINY, "--run-dir", "r", "-q")
    answer = netwright("train", "--resume", "r", "steps=5", "--json")
    assert json.loads(answer.out)["steps"] == 5


def test_at_resume_another_batch_is_refused(netwright, at_home):
    answer = netwright("train", "--resume", "latest", "batch=3")
    assert answer.status == 2
    assert "batch" in answer.err


def test_a_fault_of_ours_in_a_run_leaves_its_traceback_in_the_log_of_the_run(
    netwright, monkeypatch
):
    from netwright.tasks.classification import Classification

    def step(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Classification, "step", step)
    answer = netwright(*TINY, "--run-dir", "r")
    assert answer.status == 1
    assert answer.err.splitlines()[-1].endswith("The traceback is in r/log.txt")
    assert "ZeroDivisionError: ours" in Path("r/log.txt").read_text()


def test_evaluate_takes_test_where_there_is_one(netwright, at_home):
    document = json.loads(netwright("evaluate", "latest", "--json").out)
    assert document["split"] == "test"
    assert document["count"] == 359
    assert netwright("evaluate", "latest", "--split", "val").out.startswith("digits val   144")


def test_a_slip_in_latest_is_told(netwright, at_home):
    answer = netwright("evaluate", "latset")
    assert answer.status == 2
    assert "Nearest: latest" in answer.err


def test_ctrl_c_leaves_nothing_of_what_the_terminal_wrote(netwright, monkeypatch):
    import sys

    from netwright.records import run as records

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "find_run", interrupted)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    answer = netwright("report")
    assert answer.status == 130
    assert answer.err == "\r\x1b[KInterrupted.\n"


def test_predict_has_a_line_for_each_image_and_names_the_one_it_cannot_read(netwright, at_home):
    answer = netwright("predict", "latest", "a.png", "./=b.png", "c.png")
    lines = answer.out.splitlines()
    assert answer.status == 0
    assert len(lines) == 3
    assert lines[0].split()[0] == "a.png"
    assert "c.png" in lines[2]
    assert "2 of 3 images" in answer.err


def test_predict_json_has_the_documented_keys(netwright, at_home):
    images = json.loads(netwright("predict", "latest", "a.png", "c.png", "--json").out)["images"]
    assert set(images[0]) == {"file", "label", "probability", "margin", "top"}
    assert set(images[1]) == {"file", "error"}


def test_predict_walks_a_folder(netwright, at_home):
    assert len(netwright("predict", "latest", ".", "--top", "1").out.splitlines()) >= 3


def test_nothing_that_can_be_read_is_a_data_problem(netwright, at_home):
    answer = netwright("predict", "latest", "c.png")
    assert answer.status == 3
    assert "c.png   cannot be read" in answer.out


def test_nothing_that_can_be_read_is_one_document_with_the_reasons(netwright, at_home):
    answer = netwright("predict", "latest", "c.png", "--json")
    document = json.loads(answer.out)
    assert answer.status == document["exit"] == 3
    assert document["kind"] == "DataError"
    assert [set(each) for each in document["images"]] == [{"file", "error"}]


def test_a_csv_cell_that_a_spreadsheet_would_run_is_disarmed_and_numbers_stay(netwright, at_home):
    answer = netwright("predict", "latest", "./=b.png", "-o", "out.csv")
    assert answer.out == "wrote out.csv\n"
    [row] = csv.DictReader(Path("out.csv").read_text().splitlines())
    assert row["file"].lstrip("'./") == "=b.png"
    assert 0 < float(row["probability"]) <= 1


def test_a_place_that_cannot_be_written_to_is_a_wrong_setting(netwright, at_home):
    Path("here").mkdir()
    for place, message in (
        ("no/out.csv", "--out no/out.csv: there is no folder no.\nMake it first: mkdir -p no"),
        ("here", "--out here is a folder.\nExpected the name of a file, such as here/labels.csv"),
    ):
        answer = netwright("predict", "latest", "a.png", "-o", place)
        assert answer.status == 2
        assert message in answer.err.replace("\n  ", "\n")
    assert not Path("no").exists()


def test_a_hostile_class_name_in_a_csv_is_disarmed():
    image = Prediction(file="=cmd()", label="+1+1", probability=0.5, margin=1e-7)
    text = _csv(Predictions(run=None, images=(image,), seconds=0.0))
    assert text.splitlines()[1] == "'=cmd(),'+1+1,0.5,1e-07,"


def test_a_small_margin_is_called_unsure(netwright, monkeypatch):
    from netwright.tasks import using

    sure = Prediction(
        file="a.jpg", label="tulip", probability=0.93, margin=0.88,
        top=(("tulip", 0.93), ("rose", 0.05)),
    )  # fmt: skip
    torn = Prediction(
        file="b\x1b.jpg", label="rose", probability=0.48, margin=0.03,
        top=(("rose", 0.48), ("tulip", 0.45)),
    )  # fmt: skip
    found = Predictions(run=None, images=(sure, torn), seconds=0.08)
    monkeypatch.setattr(using, "predict", lambda *_, **__: found)
    monkeypatch.setattr(Predictions, "to_json", lambda _: {})
    answer = netwright("predict", "latest", "a.jpg")
    assert answer.out == (
        "a.jpg       tulip 0.93   rose  0.05\n"
        "b\\x1b.jpg   rose  0.48   tulip 0.45   unsure (margin 0.03)\n"
    )
    assert "2 of 2 images, 0.08 s" in answer.err


def test_report_says_where_the_page_is(netwright, at_home):
    answer = netwright("report", "latest")
    assert answer.status == 0
    assert Path(answer.out.split()[1]).name == "report.html"


def test_ls_runs_shows_status_and_metric(netwright, at_home):
    lines = netwright("ls", "runs").out.splitlines()
    assert lines[0].split() == ["run", "status", "kept", "when"]
    assert "done" in lines[1]
    assert "val/acc1" in lines[1]
    assert netwright("ls", "runs", "nothing-like-it").out == ""


@pytest.mark.parametrize(
    "text",
    [
        '{"best": {"metric": null, "value": "x"}}',
        '{"best": {"metric": "val/acc1", "value": 1' + 4000 * "0" + "}}",
        '{"best": {"metric": "val/acc1", "value": 1' + 9000 * "0" + "}}",
        '{"best": {"metric": "val/acc1", "value": 1, "a": ' + 400 * "[" + 400 * "]" + "}}",
        '{"best": 3, "status": {"a": [1]}, "started": 1e999}',
        '{"status": "{0}{x!r}", "started": "\\u001b[2J"}',
        '{"started": 1' + 4000 * "0" + "}",
        "[]",
        "{",
    ],
    ids=lambda text: text[:40],
)
def test_ls_runs_survives_any_file_of_facts(netwright, text):
    Path("runs/odd").mkdir(parents=True)
    Path("runs/odd/run.json").write_text(text)
    answer = netwright("ls", "runs")
    assert (answer.status, answer.err) == (0, "")
    assert "odd" in answer.out
    assert "\x1b" not in answer.out
    document = json.loads(netwright("ls", "runs", "--json").out)
    assert [each["run"] for each in document["runs"]] == ["runs/odd"]


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("models", "lenet5"), ("data", "digits"), ("losses", "cross_entropy"),
        ("optimizers", "adamw"), ("schedules", "one-cycle"), ("augmentations", "flip"),
        ("tasks", "classification"), ("recipes", "digits"),
    ],
)  # fmt: skip
def test_ls_lists_every_family(netwright, family, name):
    answer = netwright("ls", family)
    assert any(line.split()[0] == name for line in answer.out.splitlines())
    names = [each["name"] for each in json.loads(netwright("ls", family, "--json").out)[family]]
    assert name in names


def test_ls_takes_a_part_of_a_name(netwright):
    names = [line.split()[0] for line in netwright("ls", "models", "resnet").out.splitlines()]
    assert "resnet20" in names
    assert "mlp" not in names


def test_config_show_tells_where_each_value_comes_from(netwright, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_SET_batch", "32")
    Path("my.yaml").write_text("data: digits\nmodel: mlp\noptim:\n  name: sgd\n  lr: 0.5\n")
    out = netwright("config", "show", "my.yaml", "epochs=2").out
    rows = {line.split()[0]: line.split(None, 2)[1:] for line in out.splitlines()}
    assert rows["optim.lr"] == ["0.5", "file my.yaml"]
    assert rows["batch"] == ["32", "NETWRIGHT_SET_batch"]
    assert rows["epochs"] == ["2", "command line"]
    assert rows["seed"] == ["0", "default"]


def test_config_check_lists_every_fault(netwright):
    Path("bad.yaml").write_text("data: digits\nbatch: 0\noptim:\n  lrr: 3\n")
    answer = netwright("config", "check", "bad.yaml")
    assert answer.status == 2
    assert "batch: 0 is not allowed" in answer.err
    assert "Did you mean optim.lr?" in answer.err
    Path("good.yaml").write_text("data: digits\n")
    assert netwright("config", "check", "good.yaml").out.startswith("OK    good.yaml: ")


def test_config_diff_shows_what_is_not_the_same(netwright):
    Path("a.yaml").write_text("data: digits\nbatch: 8\n")
    Path("b.yaml").write_text("data: digits\nbatch: 16\n")
    lines = netwright("config", "diff", "a.yaml", "b.yaml").out.splitlines()
    assert [line.split() for line in lines] == [
        ["setting", "a.yaml", "b.yaml"],
        ["batch", "8", "16"],
    ]
    assert netwright("config", "diff", "a.yaml", "a.yaml").out == "no difference\n"


def test_config_schema_is_a_json_schema(netwright):
    schema = json.loads(netwright("config", "schema").out)
    assert "batch" in schema["properties"]


def test_env_tells_versions_and_threads(netwright):
    lines = netwright("env").out.splitlines()
    assert "torch" in lines[0]
    assert "thread" in lines[0]
    assert lines[1].startswith("OK      core            numpy ")
    assert {"python", "torch", "threads", "core", "extras"} <= set(
        json.loads(netwright("env", "--json").out)
    )


def test_env_names_a_torchvision_that_was_built_for_another_torch(netwright, monkeypatch):
    from netwright.cli.commands import env

    monkeypatch.setattr(env, "_torchvision", lambda _: {"has": "0.28.0", "wanted": "2.14.0"})
    assert "0.28.0 is installed but was built for torch 2.14.0." in netwright("env").out


def test_the_self_test_trains(netwright, tmp_path):
    assert "OK      selftest        20 steps" in netwright("env", "--selftest").out
    assert list(tmp_path.iterdir()) == []
