"""Every function by hand against torch, forward and backward, and against numeric derivatives."""

from __future__ import annotations

import inspect
import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.core.registry import Entry
from netwright.nn.activations import ACTIVATIONS, activation
from netwright.nn.by_hand import BY_HAND
from netwright.nn.by_hand.dropout_mask import draw_keep
from netwright.nn.by_hand.norm_over_batch import Statistics
from netwright.nn.by_hand.numeric import numeric_gradients
from netwright.nn.by_hand.pooling_max import max_places
from netwright.nn.normalisation import NORMS

Arrays = list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A function, the arrays with a gradient, the rest, and the same in torch."""

    name: str
    arrays: Arrays
    theirs: Callable[..., Tensor]
    rest: tuple[Any, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    kinks: bool = False  # the derivative does not exist: numbers say nothing

    def forward(self, *arrays: np.ndarray) -> np.ndarray:
        return BY_HAND.get(self.name).target(*arrays, *self.rest, **self.settings)[0]


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


RNG = np.random.default_rng(0)
PICK = random.Random(0)


def sampled(count: int, **choices: list[Any]) -> Iterator[dict[str, Any]]:
    """`count` of all combinations."""
    every = [dict(zip(choices, each, strict=True)) for each in itertools.product(*choices.values())]
    yield from PICK.sample(every, min(count, len(every)))


def convolutions() -> Iterator[Case]:
    shapes = {1: (3, 3), 2: (2, 3), 3: (1, 1), 4: (3, 2)}
    for chosen in sampled(
        28, kernel=[*shapes], groups=[1, 2, 4], bias=[True, False], stride=[1, 2, (2, 3)],
        padding=[0, 1, (1, 2)], dilation=[1, 2, (1, 2)],
    ):  # fmt: skip
        kernel, groups, bias = (chosen.pop(each) for each in ("kernel", "groups", "bias"))
        x, weight = normal(1, 4, 5, 6), normal(4, 4 // groups, *shapes[kernel])
        arrays = [x, weight, *([normal(4)] if bias else [])]
        settings = {**chosen, "groups": groups}
        for name in ("conv2d", "conv2d_im2col"):
            yield Case(name=name, arrays=arrays, settings=settings, theirs=F.conv2d)
        extra = PICK.choice([0, 0, (0, 1)]) if chosen["stride"] != 1 else 0
        if kernel != 3:
            yield Case(
                name="conv_transpose2d",
                arrays=[normal(1, 4, 3, 4), normal(4, 4 // groups, *shapes[kernel]), *arrays[2:]][
                    : 2 + bias
                ],
                settings={**settings, "output_padding": extra},
                theirs=F.conv_transpose2d,
            )
    yield Case(
        name="conv_transpose2d",  # more output padding than stride: the dilation allows it
        arrays=[normal(2, 2, 3, 3), normal(2, 3, 3, 3)],
        settings={"stride": 1, "dilation": 3, "output_padding": 2},
        theirs=F.conv_transpose2d,
    )
    for chosen in sampled(
        8, kernel_size=[(2, 3), 2], stride=[1, 2, (2, 1)], padding=[0, 1, (0, 1)], dilation=[1, 2]
    ):
        x = normal(2, 2, 5, 6)
        y = BY_HAND.get("unfold").target(x, **chosen)[0]
        yield Case(name="unfold", arrays=[x], settings=chosen, theirs=F.unfold)
        yield Case(
            name="fold",
            arrays=[RNG.normal(size=y.shape)],
            settings={**chosen, "output_size": (5, 6)},
            theirs=F.fold,
        )


def poolings() -> Iterator[Case]:
    for chosen in sampled(
        24, kernel_size=[2, 3, (3, 2)], stride=[None, 1, 2, (3, 2)], padding=[0, 1],
        ceil_mode=[False, True], dilation=[1, 2],
    ):  # fmt: skip
        yield Case(
            name="max_pool2d", arrays=[normal(2, 2, 7, 6)], settings=chosen, theirs=F.max_pool2d
        )
        yield Case(
            name="max_pool2d",
            arrays=[RNG.integers(0, 3, (2, 2, 7, 6)).astype(float)],
            settings=chosen,
            theirs=F.max_pool2d,
            kinks=True,
        )
    for chosen in sampled(
        20, kernel_size=[2, 3, (3, 2)], stride=[None, 1, 2, (3, 2)], padding=[0, 1],
        ceil_mode=[False, True], count_include_pad=[False, True],
    ):  # fmt: skip
        yield Case(
            name="avg_pool2d", arrays=[normal(2, 2, 7, 6)], settings=chosen, theirs=F.avg_pool2d
        )
    for x, kinks in ((normal(2, 3, 4, 5), False), (np.zeros((1, 2, 2, 3)), True)):
        yield Case(
            name="global_avg_pool2d", arrays=[x], theirs=lambda x: F.adaptive_avg_pool2d(x, 1)
        )
        yield Case(
            name="global_max_pool2d",
            arrays=[x],
            theirs=lambda x: F.adaptive_max_pool2d(x, 1),
            kinks=kinks,
        )
    for kernel in (2, (1, 3)):
        x = normal(2, 3, 6, 7)
        places = max_places(x, kernel_size=kernel)
        yield Case(
            name="max_unpool2d",
            arrays=[RNG.normal(size=places.shape)],
            rest=(places,),
            settings={"output_size": (6, 7)},
            theirs=lambda x, output_size, kernel=kernel, places=places: F.max_unpool2d(
                x, torch.from_numpy(places), kernel, output_size=list(output_size)
            ),
        )


def interpolations() -> Iterator[Case]:
    sizes = [(8, 10), (3, 2), (4, 5), (1, 1), (7, 3), (2, 9)]
    for size, mode in itertools.product(sizes, ["nearest", "nearest-exact"]):
        settings = {"size": size, "mode": mode}
        yield Case(
            name="interpolate", arrays=[normal(1, 2, 4, 5)], settings=settings, theirs=F.interpolate
        )
    for size, mode, corners in itertools.product(sizes, ["bilinear", "bicubic"], [False, True]):
        yield Case(
            name="interpolate",
            arrays=[normal(1, 2, 4, 5)],
            settings={"size": size, "mode": mode, "align_corners": corners},
            theirs=F.interpolate,
        )


def norms() -> Iterator[Case]:
    for shape, affine, eps in itertools.product(
        [(4, 3), (3, 4, 5), (2, 6, 3, 2), (3, 1, 2, 2)], [True, False], [1e-5, 0.1]
    ):
        channels, eps_ = shape[1], {"eps": eps}
        affinity = [normal(channels), normal(channels)] if affine else []
        x = 3 * RNG.normal(size=shape) + 2
        running = Statistics(normal(channels), RNG.uniform(0.5, 2, channels))
        for given in (None, running):
            yield Case(
                name="batch_norm",
                arrays=[x, *affinity],
                settings={"running": given, **eps_},
                theirs=_batch_norm,
            )
        if len(shape) > 2:
            yield Case(
                name="instance_norm",
                arrays=[x, *affinity],
                settings=eps_,
                theirs=lambda x, *wb, eps: F.instance_norm(x, None, None, *wb, eps=eps),
            )
            yield Case(
                name="group_norm",
                arrays=[x, *affinity],
                settings={"num_groups": 2 if channels % 2 == 0 else channels, **eps_},
                theirs=lambda x, *wb, num_groups, eps: F.group_norm(x, num_groups, *wb, eps=eps),
            )
        for axes in range(1, len(shape)):
            last = shape[-axes:]
            yield Case(
                name="layer_norm",
                arrays=[x, *([RNG.normal(size=last), RNG.normal(size=last)] if affine else [])],
                settings={"normalized_shape": last, **eps_},
                theirs=lambda x, *wb, normalized_shape, eps: F.layer_norm(
                    x, normalized_shape, *wb, eps=eps
                ),
            )


def _batch_norm(x: Tensor, *wb: Tensor, running: Statistics | None, eps: float) -> Tensor:
    if running is None:
        return F.batch_norm(x, None, None, *wb, training=True, eps=eps)
    mean, var = (torch.from_numpy(each) for each in running)
    return F.batch_norm(x, mean, var, *wb, training=False, eps=eps)


ACTIVATION_SETTINGS: dict[str, list[tuple[dict[str, Any], Callable[..., Tensor]]]] = {
    "leaky_relu": [({"negative_slope": 0.3}, F.leaky_relu)],
    "elu": [({"alpha": 0.4}, F.elu)],
    "gelu": [({"approximate": "tanh"}, F.gelu)],
}
KINKS = np.array([[-3.0, 0.0, 3.0, 6.0, -0.0]])


def activations() -> Iterator[Case]:
    for entry in ACTIVATIONS:
        name = entry.name
        for x, kinks in ((4 * normal(3, 4, 5), False), (19 * RNG.uniform(-1, 1, (2, 9)), False),
                         (KINKS, True)):  # fmt: skip
            if name == "prelu":
                for slopes in (1, x.shape[1]):
                    yield Case(name=name, arrays=[x, normal(slopes)], theirs=F.prelu, kinks=kinks)
                continue
            yield Case(name=name, arrays=[x], theirs=_module(name), kinks=kinks)
            for settings, theirs in ACTIVATION_SETTINGS.get(name, []):
                yield Case(name=name, arrays=[x], settings=settings, theirs=theirs, kinks=kinks)


def _module(name: Any) -> Callable[..., Tensor]:
    return lambda x: activation(name)(x)


def answers() -> Iterator[Case]:
    for shape in ((3, 4), (2, 3, 4)):
        yield Case(
            name="linear", arrays=[RNG.normal(size=shape), normal(5, 4), normal(5)], theirs=F.linear
        )
        yield Case(name="linear", arrays=[RNG.normal(size=shape), normal(5, 4)], theirs=F.linear)
    for name, theirs in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        for shape, dim in (((3, 4), 1), ((2, 3, 4), 1), ((2, 3, 4), -1)):
            yield Case(
                name=name,
                arrays=[5 * RNG.normal(size=shape)],
                settings={"dim": dim},
                theirs=theirs,
            )
    for shape, weighted, smoothing in itertools.product(
        [(6, 4), (2, 3, 4, 2)], [False, True], [0.0, 0.1, 0.9]
    ):
        target = RNG.integers(0, shape[1], (shape[0], *shape[2:]))
        weight = RNG.uniform(0.2, 3, shape[1]) if weighted else None
        yield Case(
            name="cross_entropy",
            arrays=[3 * RNG.normal(size=shape)],
            rest=(target,),
            settings={"weight": weight, "label_smoothing": smoothing},
            theirs=lambda x, weight, label_smoothing, target=target: F.cross_entropy(
                x,
                torch.from_numpy(target),
                None if weight is None else torch.from_numpy(weight),
                label_smoothing=label_smoothing,
            ),
        )


def dropouts() -> Iterator[Case]:
    x = normal(3, 4, 2, 2)
    for p, shape in ((0.5, x.shape), (0.2, (3, 4, 1, 1)), (0.0, x.shape), (1.0, x.shape)):
        keep = draw_keep(np.random.default_rng(1), shape, p=p)
        yield Case(
            name="dropout", arrays=[x], rest=(keep,), settings={"p": p}, theirs=_with_mask(keep)
        )
    yield Case(
        name="dropout", arrays=[x], settings={"p": 0.3}, theirs=lambda x, p: F.dropout(x, p, False)
    )


def _with_mask(keep: np.ndarray) -> Callable[..., Tensor]:
    """torch draws its own mask, so its own scale is put over the given one."""

    def theirs(x: Tensor, p: float) -> Tensor:
        scaled = F.dropout(torch.ones(100, dtype=x.dtype), p, True).max()
        return x * torch.from_numpy(keep) * scaled

    return theirs


CASES = [
    *convolutions(), *poolings(), *interpolations(), *norms(), *activations(), *answers(),
    *dropouts(),
]  # fmt: skip
IDS = [f"{number}-{case.name}" for number, case in enumerate(CASES)]
SMOOTH = [(case, name) for case, name in zip(CASES, IDS, strict=True) if not case.kinks]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_output_and_gradients_are_those_of_torch(case: Case) -> None:
    y, backward = BY_HAND.get(case.name).target(*case.arrays, *case.rest, **case.settings)
    theirs = [torch.from_numpy(each.copy()).requires_grad_() for each in case.arrays]
    expected = case.theirs(*theirs, **case.settings)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-12, atol=1e-12)
    dy = RNG.normal(size=y.shape)
    gradients = backward(dy)
    wanted = torch.autograd.grad(expected, theirs, torch.from_numpy(np.asarray(dy)))
    assert len(gradients) >= len(wanted)  # a bias left out has a gradient too
    for found, want in zip(gradients, wanted, strict=False):
        assert found.shape == want.shape
        np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", [case for case, _ in SMOOTH], ids=[name for _, name in SMOOTH])
def test_gradients_are_the_numeric_ones(case: Case) -> None:
    y, backward = BY_HAND.get(case.name).target(*case.arrays, *case.rest, **case.settings)
    dy = RNG.normal(size=y.shape)
    numeric = numeric_gradients(case.forward, case.arrays, dy)
    for found, want in zip(backward(dy), numeric, strict=False):
        np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7)


def test_every_function_has_its_cases() -> None:
    assert {case.name for case in CASES} == set(BY_HAND.names())


def test_every_activation_and_norm_of_a_recipe_is_there_by_hand() -> None:
    assert set(ACTIVATIONS.names()) <= set(BY_HAND.names())
    assert {f"{each.name}_norm" for each in NORMS} - {"none_norm"} <= set(BY_HAND.names())


@pytest.mark.parametrize("entry", list(BY_HAND), ids=lambda entry: entry.name)
def test_every_function_has_formula_derivation_example_and_source(entry: Entry[Any]) -> None:
    doc = inspect.getdoc(entry.target) or ""
    assert len(doc.partition("\n")[0]) < 90
    assert re.search(r"^Backward\b", doc, flags=re.MULTILINE)
    assert ">>> " in doc
    assert re.search(r"[A-Z]\w+.* (19|20)\d\d", entry.facts["paper"])


@pytest.mark.parametrize("entry", list(BY_HAND), ids=lambda entry: entry.name)
def test_no_file_hides_a_function_of_its_name(entry: Entry[Any]) -> None:
    # An imported file is an attribute of its package: by_hand.dropout would be the module.
    assert entry.target.__module__.rpartition(".")[2] != entry.name
    assert entry.target.__name__ == entry.name
