"""Small images: the small stem is chosen or advised, and the run says so."""

from __future__ import annotations

import pytest

from netwright.core import events as e
from netwright.core.config import settings_of
from netwright.core.languages import say
from netwright.models import MODELS, build
from netwright.tasks import training
from netwright.tasks.settings import resolve
from netwright.tasks.stems import stem_notes

STEMMED = [
    entry.name
    for entry in MODELS
    if any(each.name == "stem" for each in settings_of(entry.options))
]


@pytest.mark.parametrize(
    ("stem", "kernel", "words"),
    [
        ("auto", 3, "resnet18 takes images of 16x16 in by its small stem"),
        ("standard", 7, "resnet18 was made for larger images: of 16x16 its standard stem"),
        ("small", 3, None),
    ],
)
def test_a_run_on_small_images_says_which_stem_it_has(stem, kernel, words, tmp_path):
    size = 32 if stem == "standard" else 16
    words = words and words.replace("16x16", f"{size}x{size}")
    settings = {"model__stem": stem, "model__width": 0.125, "data__size": size, "steps": 1}
    resolved = resolve(data="shapes", model="resnet18", settings=settings, environ={})
    seen = []
    training.train(resolved, run_dir=tmp_path / "run", listeners=[seen.append])
    said = [say(n.template, **n.values) for n in seen if isinstance(n, e.Noted)]
    assert [line for line in said if "stem" in line] == [
        line for line in said if words and line.startswith(words)
    ]
    assert any("stem" in line for line in said) is (words is not None)
    (start,) = [each for each in seen if isinstance(each, e.RunStarted)]
    assert start.task.model.conv1.kernel_size == (kernel, kernel)


@pytest.mark.parametrize("name", STEMMED)
def test_every_network_with_a_stem_takes_images_of_cifar_whole(name):
    model = build(name, num_classes=3, in_channels=3, input_size=(32, 32), options={})
    first = next(each for each in model.modules() if hasattr(each, "kernel_size"))
    assert first.stride in (1, (1, 1))
    assert stem_notes(name, {"stem": "auto"}, (32, 32))
    assert stem_notes(name, {"stem": "standard"}, (64, 64)) == []


def test_a_network_without_a_stem_is_not_spoken_of():
    assert "lenet5" not in STEMMED
    assert stem_notes("lenet5", {}, (28, 28)) == []
    assert stem_notes("net.py:make", {"stem": "auto"}, (28, 28)) == []
