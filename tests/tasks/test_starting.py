"""`model.weights`: a run that begins with weights from a file, and what it says of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import netwright as nw
from netwright.cli import main
from netwright.core import events as e
from netwright.core.errors import CheckpointError, SettingError
from netwright.core.languages import say, speaking
from netwright.models import MODELS, build
from netwright.records.run import Run
from netwright.report.page import render
from netwright.tasks import training
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights

SQUEEZENET = "weights/squeezenet1_0_deepcompression_fp16.safetensors"
MOBILENET = "weights/mobilenet_v2_1.0_224_uint8.safetensors"
RESNET = "weights/resnet32_cifar10.safetensors"

# Weights that hardly move: the run is short, and its rate next to nothing.
STILL = {"optim": "sgd", "optim__lr": 1e-12, "optim__wd": 0.0, "steps": 1, "sched": "constant"}


def begun(folder, model="mlp", data="digits", **settings):
    """A run of one step that changes nothing, its notes, and its recorded start."""
    notes = []
    hidden = {"model__hidden": [12]} if model == "mlp" else {}
    resolved = resolve(data=data, model=model, settings=STILL | hidden | settings, environ={})
    training.train(resolved, run_dir=folder, listeners=[notes.append])
    said = [say(n.template, **n.values) for n in notes if isinstance(n, e.Noted)]
    return read_weights(folder / "best.safetensors"), said, Run(folder).model["start"]


def mlp(num_classes=10):
    torch.manual_seed(5)
    options = {"hidden": [12]}
    return build("mlp", num_classes=num_classes, in_channels=1, input_size=(8, 8), options=options)


@pytest.fixture
def file(tmp_path):
    save_file(mlp().state_dict(), tmp_path / "them.safetensors")
    return tmp_path / "them.safetensors"


def close(left, right, but=()):
    names = [name for name in right if name not in but and right[name].is_floating_point()]
    return all(torch.allclose(left[name], right[name], atol=1e-6) for name in names)


def test_all_weights_of_a_file_are_loaded_and_recorded(tmp_path, file):
    weights, said, start = begun(tmp_path / "run", model__weights=str(file))
    own = mlp().state_dict()
    assert close(weights, own)
    assert f"tensors loaded: {len(own)}, from {file}" in said
    assert any(line.startswith("images are normalised by the training data") for line in said)
    assert start == {
        "weights": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "tensors": len(own),
        "fresh": [],
        "reordered": [],
        "renamed": 0,
        "reshaped": [],
        "adapted": None,
        "skipped": [],
        "zero": [],
        "adapter": None,
        "source": None,
        "run": None,
    }


def test_a_run_without_weights_records_no_start(run):
    assert Run(run).model["start"] is None


def test_the_head_begins_anew_for_other_classes(tmp_path):
    save_file(mlp(num_classes=7).state_dict(), tmp_path / "seven.safetensors")
    weights, said, start = begun(tmp_path / "run", model__weights=f"{tmp_path}/seven.safetensors")
    plain, _, _ = begun(tmp_path / "plain")
    head = start["fresh"]
    assert len(head) == 2
    assert close(weights, mlp(num_classes=7).state_dict(), but=head)
    assert all(torch.allclose(weights[name], plain[name], atol=1e-6) for name in head)
    (line,) = [line for line in said if line.startswith("the head begins anew")]
    assert line.startswith("the head begins anew, classes 7 -> 10 (")


def test_a_checkpoint_of_torch_is_taken_out_of_its_wrappings(tmp_path):
    state = {f"module.{name}": each.half() for name, each in mlp().state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "a.pth")
    weights, said, _ = begun(tmp_path / "run", model__weights=str(tmp_path / "a.pth"))
    rounded = {name: each.half().float() for name, each in mlp().state_dict().items()}
    assert close(weights, rounded)
    assert "the names of the weights are taken out of state_dict, module." in said
    assert "the weights are float16 in the file and were converted" in said


def test_a_run_is_a_place_to_take_weights_from(tmp_path):
    first, _, _ = begun(tmp_path / "first", epochs=1)
    weights, said, start = begun(
        tmp_path / "second", seed=9, model__weights=str(tmp_path / "first")
    )
    assert close(weights, first)
    assert start["run"] == str(tmp_path / "first")
    assert start["weights"] == str(tmp_path / "first" / "best.safetensors")
    before, after = (Run(tmp_path / each).model["input"] for each in ("first", "second"))
    assert (before["mean"], before["std"]) == (after["mean"], after["std"])
    assert any(line.startswith("images are normalised as the weights expect") for line in said)


def test_a_run_as_model_stands_for_its_network_and_its_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_RUNS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = {"data__channels": 3, "model__width": 0.125}
    begun(tmp_path / "first", model="resnet18", **settings)
    weights, said, start = begun(
        tmp_path / "second", model="./first", data="shapes", data__size=16, model__dropout=0.5
    )
    architecture = Run(tmp_path / "second").model["architecture"]
    assert architecture["name"] == "resnet18"
    options = architecture["options"]
    assert (options["width"], options["dropout"], options["stem"]) == (0.125, 0.5, "small")
    assert start["fresh"] == ["fc.weight", "fc.bias"]
    assert "the weights were trained on images of 8x8; these are 16x16 (data.size)" in said
    written = (tmp_path / "second" / "config.yaml").read_text()
    assert "# run first" in written
    again = resolve(data=None, config=str(tmp_path / "second" / "config.yaml"), environ={})
    training.train(again, run_dir=tmp_path / "third")  # the recipe alone starts there again
    repeated = read_weights(tmp_path / "third" / "best.safetensors")
    assert all(torch.equal(weights[name], repeated[name]) for name in weights)


def test_a_weights_file_beside_its_recipe_is_a_model(tmp_path):
    wide = build("mlp", num_classes=10, in_channels=1, input_size=(8, 8), options={"hidden": [5]})
    save_file(wide.state_dict(), tmp_path / "net.safetensors")
    (tmp_path / "net.yaml").write_text("model: {name: mlp, hidden: [5]}\n")
    weights, _, _ = begun(tmp_path / "run", model=f"{tmp_path}/net.safetensors")
    assert close(weights, wide.state_dict())


def test_a_weights_file_alone_is_no_model(tmp_path, file):
    with pytest.raises(SettingError, match=r"is no model: .*\nName the network, and give the wei"):
        begun(tmp_path / "run", model=str(file))


def test_weights_of_another_network_say_whose_they_are(tmp_path):
    save_file(MODELS.get("resnet32").target().state_dict(), tmp_path / "a.safetensors")
    weights = {"model__weights": f"{tmp_path}/a.safetensors"}
    fits = r"do not fit resnet20: \d+ of \d+ tensors fit; without a place: 72 \(layer1\.3\."
    with pytest.raises(SettingError, match=fits) as caught:
        begun(tmp_path / "run", model="resnet20", data="shapes", **weights)
    assert str(caught.value).endswith("They are the weights of resnet32: give that as MODEL.")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_the_first_convolution_of_colour_weights_is_adapted_to_grey_images(tmp_path):
    begun(tmp_path / "first", model="resnet20", data__channels=3)
    settings = {"model__weights": f"{tmp_path}/first"}
    grey, said, start = begun(
        tmp_path / "run", model="resnet20", transfer__norm="frozen", **settings
    )
    colour = read_weights(tmp_path / "first" / "best.safetensors")
    assert close(grey, colour, but=["conv1.weight"])
    assert torch.allclose(grey["conv1.weight"], colour["conv1.weight"].sum(1, True), atol=1e-6)
    assert (
        "the first convolution is adapted to the images, channels 3 -> 1 (conv1.weight)"
    ) in said
    assert start["adapted"] == {"tensors": ["conv1.weight"], "given": 3, "own": 1}
    theirs, ours = (Run(tmp_path / each).model["input"] for each in ("first", "run"))
    assert (ours["mean"], ours["std"]) == (theirs["mean"][:1], theirs["std"][:1])
    assert any(line.startswith("images are normalised as the weights expect, whose statistics")
               for line in said)  # fmt: skip
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8)
    in_colour = nw.load(tmp_path / "first")(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(nw.load(tmp_path / "run")(images), in_colour, rtol=1e-3, atol=1e-4)


def test_other_names_another_head_and_other_channels_at_once(tmp_path):
    state = build("lenet5", num_classes=7, in_channels=3, input_size=(28, 28)).state_dict()
    save_file({f"net.{name}": each for name, each in state.items()}, tmp_path / "a.safetensors")
    weights = {"model__weights": f"{tmp_path}/a.safetensors", "data__size": 28}
    own, said, start = begun(tmp_path / "run", model="lenet5", **weights)
    (first, *_), (fresh, *_) = start["adapted"]["tensors"], start["fresh"]
    assert first != fresh
    assert torch.allclose(own[first], state[first].sum(1, True), atol=1e-6)
    assert start["renamed"] == len(state)
    assert any(line.startswith("images are normalised by the training data") for line in said)


def test_imagenet_statistics_asked_for_are_brought_to_grey(tmp_path):
    save_file(MODELS.get("resnet20").target().state_dict(), tmp_path / "a.safetensors")
    settings = {"model__weights": f"{tmp_path}/a.safetensors", "transfer__images": "imagenet"}
    _, _, start = begun(tmp_path / "run", model="resnet20", **settings)
    seen = Run(tmp_path / "run").model["input"]
    assert (seen["mean"], seen["std"]) == ([pytest.approx(0.449)], [pytest.approx(0.226)])
    assert start["adapted"]["tensors"] == ["conv1.weight", "bn1.running_mean"]


GROUPED = """
import torch
from torch import nn


class Twice(nn.Module):
    def forward(self, images):
        return torch.cat([images, images], 1)


def make(num_classes, in_channels):
    first = nn.Conv2d(2 * in_channels, 6, 3, groups=2)
    return nn.Sequential(Twice(), first, nn.Flatten(), nn.Linear(216, num_classes))
"""


@pytest.mark.parametrize("model", ["mlp", "net.py:make"])
def test_a_first_layer_that_is_not_adapted_says_so(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(GROUPED)
    begun(tmp_path / "first", model=model, data__channels=1)
    with pytest.raises(SettingError, match=r"of another shape: 1 \(") as caught:
        begun(tmp_path / "run", model=model, data__channels=3, model__weights="first")
    assert "only a convolution that is not grouped is adapted" in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_lies_beside_a_file_is_told_in_the_language_of_the_reader(tmp_path, file):
    beside = {"image_mean": [0.5], "image_std": [0.25]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(beside))
    begun(tmp_path / "run", model__weights=str(file))
    with speaking("zh"):
        page = render(Run(tmp_path / "run"))
    assert "旁边的 preprocessor_config.json 说明了图像如何处理" in page


def test_weights_that_are_zero_throughout_are_warned_of(tmp_path):
    state = mlp().state_dict()
    name = next(each for each in state if each.endswith("weight"))
    state[name].zero_()
    save_file(state, tmp_path / "zero.safetensors")
    _, said, start = begun(tmp_path / "run", model__weights=f"{tmp_path}/zero.safetensors")
    assert f"0 throughout, as if they had never been trained: {name} (1 of 4 tensors)" in said
    assert start["zero"] == [name]


def test_weights_for_the_standard_stem_say_which_setting_they_need(tmp_path):
    save_file(MODELS.get("squeezenet1_1").target().state_dict(), tmp_path / "a.safetensors")
    weights = {"model__weights": f"{tmp_path}/a.safetensors"}
    with pytest.raises(SettingError, match=r"of another shape"):
        begun(tmp_path / "run", model="squeezenet1_0", data="shapes", **weights)
    save_file(MODELS.get("squeezenet1_0").target().state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(SettingError, match=r"They fit squeezenet1_0 model\.stem=standard\."):
        begun(tmp_path / "run", model="squeezenet1_0", data="shapes", **weights)


def test_weights_and_an_initialiser_are_not_both_followed(tmp_path, file):
    with pytest.raises(SettingError, match=r"init\.name and model\.weights both say"):
        begun(tmp_path / "run", model__weights=str(file), init="orthogonal")


def test_a_run_goes_on_without_the_file_it_started_from(tmp_path, file):
    begun(tmp_path / "run", model__weights=str(file))
    file.unlink()
    resumed = training.train(None, resume=str(tmp_path / "run"))
    assert resumed.status == "done"
    asked = {"steps": 3}
    assert training.train(None, resume=str(tmp_path / "run"), asked=asked).steps == 3


def test_the_command_that_started_a_run_goes_on_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_file(mlp().state_dict(), "a.safetensors")
    begun(tmp_path / "first")
    again = ["steps=1", "--resume", "auto", "--run-dir"]
    for words in (
        ["mlp", "model.hidden=[12]", "model.weights=a.safetensors", *again, "one"],
        ["mlp", "model.hidden=[12]", "model.weights=first", *again, "two"],
        ["first", *again, "three"],
    ):
        for _ in range(2):
            assert main(["train", "digits", *words]) == 0, capsys.readouterr().err
    save_file(mlp().state_dict(), "b.safetensors")
    other = ["mlp", "model.hidden=[12]", "model.weights=b.safetensors", *again, "one"]
    assert main(["train", "digits", *other]) == 2
    assert "These settings differ from those of the run" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_begins_again_with_the_same_weights(tmp_path, file):
    weights, _, _ = begun(tmp_path / "run", model__weights=str(file), run__checkpoint_every=1)
    _forget(tmp_path / "run")
    training.train(None, resume=str(tmp_path / "run"))
    assert close(read_weights(tmp_path / "run" / "best.safetensors"), weights)
    _forget(tmp_path / "run")
    save_file({name: each + 1 for name, each in mlp().state_dict().items()}, file)
    with pytest.raises(SettingError, match="has changed since the run started from it"):
        training.train(None, resume=str(tmp_path / "run"))


def _forget(folder):
    """As if the run had been killed before its first checkpoint."""
    shutil.rmtree(folder / "ckpt")
    (folder / "best.safetensors").unlink()
    (folder / "metrics.jsonl").unlink()
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(info | {"status": "running"}))


def test_damaged_weights_of_a_run_are_refused(tmp_path):
    begun(tmp_path / "first")
    path = tmp_path / "first" / "best.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged: the hash inside does not match"):
        begun(tmp_path / "second", model__weights=str(tmp_path / "first"))


def test_a_factory_starts_from_weights_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "from torch import nn\n\ndef make(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    save_file({"1.weight": torch.ones(10, 64), "1.bias": torch.zeros(10)}, "a.safetensors")
    weights, _, _ = begun(tmp_path / "run", model="net.py:make", model__weights="a.safetensors")
    assert torch.allclose(weights["1.weight"], torch.ones(10, 64), atol=1e-5)
    assert str(tmp_path / "a.safetensors") in (tmp_path / "run" / "config.yaml").read_text()


class Trap:
    def __reduce__(self):
        return os.system, ("touch sprung",)


@pytest.mark.parametrize(
    ("weights", "code", "words"),
    [
        ("trap.pth", 2, "calls for posix.system"),
        ("none.pth", 2, "There is no weights file"),
        (".", 2, "is a folder, neither a run nor a weights file"),
        ("notes.txt", 2, "is no weights file"),
        ("nan.safetensors", 3, "hold NaN"),
        ("cut.safetensors", 3, "is damaged"),
        ("resnet:nan.safetensors", 2, 'No adapter called "resnet"'),
        ("https://x.org/a.pth", 2, "names no checksum, and weights from the network are used"),
        ("\0", 2, "There is no weights file"),
        ("~nobody-here/a.pth", 2, "There is no weights file"),
        ("/a.safetensors", 2, "There is no weights file"),
        ("resnet-cifar:\0", 2, "There is no weights file"),
        ("x" * 5000, 3, "Cannot read"),
    ],
)
def test_files_that_are_no_weights_end_the_command(
    weights, code, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Trap()}, "trap.pth")
    Path("notes.txt").write_text("what we did")
    state = mlp().state_dict()
    save_file({name: each * float("nan") for name, each in state.items()}, "nan.safetensors")
    save_file(state, "cut.safetensors")
    Path("cut.safetensors").write_bytes(Path("cut.safetensors").read_bytes()[:-7])
    assert (
        main(
            ["train", "digits", "mlp", "model.hidden=[12]", f"model.weights={weights}", "--dry-run"]
        )
        == code
    )
    assert words in " ".join(capsys.readouterr().err.split())
    assert not Path("sprung").exists()
    assert not Path("runs").exists()


@pytest.mark.shared_data(RESNET)
def test_the_weights_of_a_known_source_choose_their_network(tmp_path, shared_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resolved = resolve(
        data="shapes", settings=STILL | {"model__weights": str(shared_data / RESNET)}, environ={}
    )
    training.train(resolved, run_dir=tmp_path / "run")
    facts = Run(tmp_path / "run").model
    assert facts["architecture"]["name"] == "resnet32"
    assert facts["start"]["adapter"] == "resnet-cifar"
    assert facts["input"]["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.shared_data(SQUEEZENET)
def test_an_adapter_sets_the_options_its_weights_need(tmp_path, shared_data):
    spec = f"squeezenet-deep-compression:{shared_data / SQUEEZENET}"
    settings = {"data__size": 32, "model__weights": spec}
    _, said, start = begun(tmp_path / "run", model="squeezenet1_0", data="shapes", **settings)
    options = Run(tmp_path / "run").model["architecture"]["options"]
    assert (options["stem"], options["head_padding"]) == ("standard", 1)
    settled = "model.stem=standard model.head_padding=1"
    assert f"the weights say how the network is built: {settled}" in said
    assert start["tensors"] == 50
    assert "the weights were trained on images of 227x227; these are 32x32 (data.size)" in said
    with pytest.raises(SettingError, match=r"need model\.stem=standard; it is small"):
        begun(
            tmp_path / "no", model="squeezenet1_0", data="shapes", model__stem="small", **settings
        )


@pytest.mark.shared_data(MOBILENET)
def test_weights_of_a_known_source_refuse_another_model(tmp_path, shared_data):
    with pytest.raises(SettingError, match=r"of mobilenet_v2; the model is resnet18\.\nWrite"):
        begun(tmp_path / "run", model="resnet18", model__weights=str(shared_data / MOBILENET))


def test_the_door_takes_weights(tmp_path, file):
    made = nw.train(
        "digits",
        model="mlp",
        model__hidden=[12],
        model__weights=str(file),
        steps=1,
        run_dir=tmp_path / "run",
    )
    assert made.run.model["start"]["weights"] == str(file)


def test_of_a_run_over_seeds_the_one_in_the_middle_is_taken(tmp_path):
    folder = tmp_path / "seeds"
    nw.train("digits", model="mlp", steps=3, seeds=3, run_dir=folder)
    for settings in ({"model": str(folder)}, {"model": "mlp", "model__weights": str(folder)}):
        made = nw.train("digits", steps=1, run_dir=tmp_path / str(len(settings)), **settings)
        begun = read_weights(made.run.path / "ckpt" / "step-000000000" / "weights.safetensors")
        middle = {n: t.cpu() for n, t in nw.load(folder).module.state_dict().items()}
        assert all(torch.equal(begun[name], middle[name]) for name in middle)


SEEN = "the weights have been trained on most of the"


def test_weights_that_have_seen_the_validation_images_are_warned_of(tmp_path):
    begun(tmp_path / "first")
    weights = str(tmp_path / "first")
    _, said, _ = begun(tmp_path / "same", model__weights=weights)
    assert not [line for line in said if line.startswith(SEEN)]
    _, said, _ = begun(tmp_path / "other", seed=9, model__weights=weights)
    (line,) = [line for line in said if line.startswith(SEEN)]
    assert "validation images of seed 9 (144)" in line
    assert "With seed=0 data.val_share=0.1" in line
    assert SEEN in (tmp_path / "other" / "report.html").read_text(encoding="utf-8")
    _, said, _ = begun(tmp_path / "share", data__val_share=0.2, model__weights=weights)
    assert [line for line in said if line.startswith(SEEN)]


def test_weights_of_other_data_have_seen_nothing(tmp_path):
    begun(tmp_path / "first", data="shapes", data__size=8, data__channels=1)
    _, said, _ = begun(tmp_path / "second", seed=9, model__weights=str(tmp_path / "first"))
    assert not [line for line in said if line.startswith(SEEN)]


def test_the_warning_names_the_folder_however_it_is_spelled(tmp_path, monkeypatch):
    from PIL import Image

    for shade, name in enumerate(("dark", "light")):
        (tmp_path / "them" / name).mkdir(parents=True)
        for number in range(20):
            image = Image.new("L", (8, 8), 150 * shade + number)
            image.save(tmp_path / "them" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    begun(tmp_path / "first", data="them/")
    _, said, _ = begun(tmp_path / "second", data="./them", seed=9, model__weights="first")
    assert [line for line in said if line.startswith(SEEN)]


def test_of_several_seeds_each_whose_validation_was_seen_is_warned_of(tmp_path, monkeypatch):
    begun(tmp_path / "first")
    for stack in ("never", "auto"):
        notes = []
        settings = {"seeds": 3, "run__stack": stack, "model__weights": str(tmp_path / "first")}
        resolved = resolve(
            data="digits", model="mlp", environ={},
            settings=STILL | {"model__hidden": [12]} | settings,
        )  # fmt: skip
        training.train(resolved, run_dir=tmp_path / stack, listeners=[notes.append])
        said = [say(n.template, **n.values) for n in notes if isinstance(n, e.Noted)]
        warned = [line for line in said if line.startswith(SEEN)]
        assert all(f"of seed {seed} (" in line for seed, line in zip((1, 2), warned, strict=True))


def test_other_names_and_shapes_are_told_with_what_is_left_out(tmp_path):
    state = {f"model.{name}": each for name, each in mlp(num_classes=7).state_dict().items()}
    name = next(each for each in state if each.endswith("weight"))
    state[name] = state[name][:, :, None, None].contiguous()
    save_file(state | {"criterion.weight": torch.ones(7)}, tmp_path / "wrapped.safetensors")
    weights, said, start = begun(tmp_path / "run", model__weights=f"{tmp_path}/wrapped.safetensors")
    plain = mlp(num_classes=7).state_dict()
    assert close(weights, plain, but=start["fresh"])
    assert "tensors renamed: 4, such as model.1.bias -> 1.bias" in said
    bare = name.removeprefix("model.")
    assert f"tensors reshaped, between convolution and linear layer: 1 ({bare})" in said
    assert ("tensors skipped, of a part that this network has not: 1 (criterion.weight)") in said
    assert start["renamed"] == 4
    assert start["skipped"] == ["criterion.weight"]
    assert start["reshaped"] == [name.removeprefix("model.")]


@pytest.fixture
def colours(tmp_path):
    """A folder of plain pictures in classes, by the names asked for."""
    from PIL import Image

    def make(name, *classes):
        for shade, each in enumerate(classes):
            (tmp_path / name / each).mkdir(parents=True)
            for number in range(12):
                image = Image.new("L", (8, 8), 60 * shade + number)
                image.save(tmp_path / name / each / f"{number}.png")
        return str(tmp_path / name)

    return make


def test_a_head_that_knows_the_classes_in_another_order_is_put_in_order(tmp_path, colours):
    """A run notes its classes; here they are noted in an order of their own."""
    data = colours("one", "a", "b", "c")
    first, _, _ = begun(tmp_path / "first", data=data)
    facts = Run(tmp_path / "first").model | {"classes": ["c", "a", "b"]}
    (tmp_path / "first" / "model.json").write_text(json.dumps(facts))
    weights, said, start = begun(tmp_path / "run", data=data, model__weights=f"{tmp_path}/first")
    assert start["reordered"] == ["3.weight", "3.bias"]
    assert torch.allclose(weights["3.weight"], first["3.weight"][[1, 2, 0]], atol=1e-6)
    assert (
        "the weights know the classes in another order: the head was put into that of these "
        "(3.weight, 3.bias)"
    ) in said
    assert start["fresh"] == []


def test_a_head_for_as_many_other_classes_begins_anew(tmp_path, colours):
    begun(tmp_path / "first", data=colours("one", "a", "b", "c"))
    weights, said, start = begun(
        tmp_path / "run", data=colours("two", "a", "b", "d"), model__weights=f"{tmp_path}/first"
    )
    assert start["fresh"] == ["3.weight", "3.bias"]
    assert (
        "the head begins anew: the weights know other classes, such as a, b, c, where these are "
        "a, b, d (3.weight, 3.bias)"
    ) in said
    assert close(weights, begun(tmp_path / "plain", data=f"{tmp_path}/two")[0],
                 but=["1.weight", "1.bias"])  # fmt: skip


def test_a_file_that_was_exported_brings_its_preprocessing_and_its_classes(tmp_path, colours):
    begun(tmp_path / "first", data=colours("one", "a", "b"))
    nw.load(tmp_path / "first").export(tmp_path / "out.safetensors")
    weights = {"model__weights": f"{tmp_path}/out.safetensors"}
    _, said, start = begun(tmp_path / "run", data=colours("two", "a", "c"), **weights)
    before, after = (Run(tmp_path / each).model["input"] for each in ("first", "run"))
    assert (before["mean"], before["std"]) == (after["mean"], after["std"])
    assert any(line.startswith("images are normalised as the weights expect: ") for line in said)
    assert start["fresh"] == ["3.weight", "3.bias"]


def test_a_run_whose_name_is_misspelled_is_guessed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun(tmp_path / "first")
    with pytest.raises(SettingError, match=r"There is no weights file .*fisrt\.\nNearest: first\."):
        begun(tmp_path / "run", model__weights="fisrt")
