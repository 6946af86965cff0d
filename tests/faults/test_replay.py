"""A batch that is not finite is located: `netwright doctor RUN --replay` takes its step again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from netwright.core.errors import SettingError
from netwright.tasks import replaying

# What goes wrong does so from the 45th step on, in an epoch in which a schedule that answers to
# evaluations has had its say; `WRONG` stands for it.
NETWORK = """
import os
import torch
from torch import nn

class Odd(nn.Module):
    def forward(self, x):
        return WRONG

class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.flat = nn.Flatten()
        self.hidden = nn.Linear(64, 32)
        self.norm = nn.BatchNorm1d(32)
        self.odd = Odd()
        self.head = nn.Linear(32, num_classes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if self.training:
            self.steps += 1
        x = self.norm(self.hidden(self.flat(x))).relu()
        return self.head(self.odd(x) if self.training and self.steps > 45 else x)

def factory(num_classes):
    return Network(num_classes)
"""


@pytest.fixture
def diverged(server, place):
    """Train until `wrong`, an expression of x (N, 32), has spoilt a step; the run folder."""

    def train(wrong: str, *more: str, network: str = NETWORK, data: str = "digits") -> Path:
        file = place / "network.py"
        file.write_text(network.replace("WRONG", wrong))
        child = server.start(
            ["train", data, f"{file}:factory", "epochs=4", "run.checkpoint_every=7", "batch=64",
             "sched=plateau", "sched.patience=1", "aug.shift=1", *more,
             "--run-dir", str(place / "run")],
            cwd=place,
        )  # fmt: skip
        assert child.wait() == 5, child.text()
        assert f"netwright doctor {place / 'run'} --replay" in child.text()
        return place / "run"

    return train


@pytest.fixture
def replay(server, place):
    """(exit status, the document, the screen) of a replay in a process of its own."""

    def run(*more: str) -> tuple[int, dict, str]:
        texts = []
        for form in ([], ["--json"]):
            child = server.start(
                ["doctor", str(place / "run"), "--replay", *form, *more], cwd=place
            )
            status = child.wait()
            texts.append(child.text())
        document = json.loads(texts[1][texts[1].index("{\n") :])
        return status, document, " ".join(texts[0].split())

    return run


@pytest.mark.parametrize("more", [[], ["optim.accumulate=2", "batch=32"], ["run.ema=0.9"]])
def test_the_first_layer_whose_output_is_not_finite_is_named(diverged, replay, more):
    run = diverged("(x - 1e-30).log()", *more)
    before = _contents(run)
    status, told, screen = replay()
    assert status == told["exit"] == 4
    assert (told["how"], told["batch"]["same"]) == ("exact", True)
    bundle = json.loads(next((run / "evidence").glob("nonfinite-*.json")).read_text())
    assert told["step"] == bundle["step"] > told["checkpoint"] > 0
    assert told["batch"]["names"] == bundle["batch"]["name"]
    assert told["met"] == told["recorded"] == {"what": "loss", "value": "nan"}
    assert (told["origin"]["where"], told["origin"]["layer"]) == ("output", "odd")
    assert "odd (Odd) is the first layer whose output is not finite: " in screen
    # It is in all images alike; of two passes a step the 46th is the second of its step.
    names = told["batch"]["names"]
    assert told["images"] == (names[32:] if "optim.accumulate=2" in more else [])
    assert _contents(run) == before


def test_a_way_there_that_is_not_finite_already_is_looked_at(diverged, replay):
    run = diverged("x / 0")
    bundle = next((run / "evidence").glob("nonfinite-*.json"))
    told = json.loads(bundle.read_text())
    bundle.write_text(json.dumps(told | {"step": told["step"] + 3}))
    status, found, screen = replay()
    assert status == 4
    assert (found["step"], found["recorded_step"]) == (told["step"], told["step"] + 3)
    assert found["batch"]["names"] == told["batch"]["name"]
    assert found["origin"]["layer"] == "odd"
    assert f"on the way there step {told['step']} is not finite already" in screen


def test_the_layer_that_passes_back_what_is_not_finite_is_named(diverged, replay):
    diverged("x + (x - x).sqrt()")  # whose slope at 0 is infinite
    status, told, screen = replay()
    assert status == 4
    assert told["met"]["what"] == "the norm of the gradients"
    assert (told["origin"]["where"], told["origin"]["layer"]) == ("back", "odd")
    assert "odd (Odd) is the first layer that passes back a gradient which is not" in screen


def test_the_images_it_began_in_are_named(diverged, replay, place):
    """One image in forty is black, and the network takes the logarithm of its brightness."""
    for i in range(80):
        folder = place / "pictures" / f"class-{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        shade = 0 if i in (26, 67) else 40 + 2 * i
        Image.new("L", (8, 8), shade).save(folder / f"{i:02}.png")
    network = (
        "from torch import nn\n"
        "class Brightness(nn.Module):\n"
        "    def forward(self, x): return (x - x.min()).mean((1, 2, 3)).log()[:, None]\n"
        "def factory(num_classes):\n"
        "    return nn.Sequential(Brightness(), nn.Linear(1, num_classes))\n"
    )
    diverged("", "aug.shift=0", "batch=8", network=network, data=str(place / "pictures"))
    status, told, screen = replay()
    assert status == 4
    # The darkest image of the batch: only a black one has the logarithm of nothing.
    assert len(told["images"]) == 1
    assert told["images"][0] in told["batch"]["names"]
    assert f"it began in 1 of them: {told['images'][0]}" in screen


def test_a_step_that_is_finite_now_says_what_was_not_the_same(diverged, replay, place):
    (place / "broken").touch()
    diverged(f"x / (0 if os.path.exists({str(place / 'broken')!r}) else 1)")
    (place / "broken").unlink()
    status, told, screen = replay()
    assert status == 0
    assert told["met"] is None
    assert "All is finite now; loss was nan then." in screen
    assert "what was not the same is not recorded" in screen


def test_gradients_too_large_to_add_up_are_told_from_those_not_finite(diverged, replay):
    diverged("x + (x * 1e20 - (x * 1e20).detach())")
    status, told, screen = replay()
    assert status == 4
    assert told["met"] == {"what": "the norm of the gradients", "value": "inf"}
    assert told["origin"]["where"] == "norm"
    assert 1e15 < told["origin"]["largest"] < 3e38
    assert "Each gradient is finite, and their norm is not." in screen


def test_what_cannot_be_replayed_is_refused(server, place, reference):
    child = server.start(["doctor", str(reference), "--replay"], cwd=place)
    assert child.wait() == 2
    assert "there is no step to replay" in " ".join(child.text().split())
    child = server.start(["doctor", "train.py", "--replay"], cwd=place)
    assert child.wait() == 2
    child = server.start(["doctor", str(reference), "--replay", "--repair"], cwd=place)
    assert child.wait() == 2
    assert "--repair is for a script" in " ".join(child.text().split())
    child = server.start(["doctor", str(reference), "--trust-code"], cwd=place)
    assert child.wait() == 2
    assert "--trust-code is for --replay" in " ".join(child.text().split())


def test_of_several_seeds_one_is_to_be_named(tmp_path):
    (tmp_path / "run.json").write_text('{"status": "done", "seeds": [{"seed": 3}, {"seed": 4}]}')
    with pytest.raises(SettingError, match="holds a run for each seed") as caught:
        replaying.replay(str(tmp_path))
    assert f"netwright doctor {tmp_path / 'seed-3'} --replay" in str(caught.value)


def test_it_speaks_chinese(diverged, server, place):
    run = diverged("x / 0")
    child = server.start(["doctor", str(run), "--replay", "--lang", "zh"], cwd=place)
    assert child.wait() == 4
    assert "精确" in child.text()
    assert "exact" not in child.text()


def test_a_bundle_that_was_damaged_is_refused(diverged, server, place):
    run = diverged("x / 0")
    bundle = next((run / "evidence").glob("nonfinite-*.json"))
    beyond = b'{"step": 1000000, "batch": {}, "what": "loss", "value": "nan"}'
    for content in (b"", b"[]", b"[" * 10_000, b'{"step": "1"}', beyond):
        bundle.write_bytes(content)
        child = server.start(["doctor", str(run), "--replay"], cwd=place)
        assert child.wait() == 3, child.text()
        assert "is damaged" in child.text()
    bundle.unlink()
    os.mkfifo(bundle)  # nobody will ever write into it
    child = server.start(["doctor", str(run), "--replay"], cwd=place)
    assert child.wait(30) == 3, child.text()


def test_without_a_checkpoint_before_it_a_step_is_not_replayed(diverged, server, place):
    run = diverged("x / 0")
    for path in (run / "ckpt").glob("step-*"):
        (path / "state.pt").write_bytes(b"")
    child = server.start(["doctor", str(run), "--replay"], cwd=place)
    assert child.wait() == 3, child.text()
    assert "the step cannot be replayed" in " ".join(child.text().split())


def _contents(run: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }
