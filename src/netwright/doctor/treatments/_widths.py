"""Hidden layers of another width, and what reads them with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from netwright.doctor.treatments._drawing import draw
from netwright.doctor.treatments._running import NORMS, Call, calls
from netwright.doctor.trials.course import Course

PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
         nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)  # fmt: skip
RECURRENT = (nn.RNN, nn.GRU, nn.LSTM)


def widths(course: Course) -> dict[str, int]:
    """The units of each hidden layer that may be made wider or narrower: what reads it reads
    nothing else, and both run once."""
    return {run[place].path: width_of(run[place].module) for run, place in _free(course)}


def neighbours(course: Course, path: str) -> int:
    """The numbers a sample that come to a layer, or leave those that read it: the fewer."""
    for run, place in _free(course):
        if run[place].path == path:
            behind = [width_of(run[each].module) for each in run[place].readers]
            return min([_reads(run[place].module), *behind])
    return 0


def resize(course: Course, wanted: Mapping[str, int]) -> None:
    """Layers of these widths in the place of the old ones, and all weights drawn anew. What reads
    them, and the norms between, follow."""
    made: dict[str, nn.Module] = {}
    scale: dict[int, tuple[int, int]] = {}
    run: list[Call] = []
    chosen: dict[str, int] = {}
    for run, place in _free(course):
        path, old = run[place].path, width_of(run[place].module)
        if path not in wanted:
            continue
        chosen[path] = wanted[path]
        for reader in run[place].readers:
            scale[reader] = (old, wanted[path])
        for between in run[place + 1 : min(run[place].readers)]:
            if _channels(between.module) == old and not between.is_map:
                made[between.path] = _like_norm(between.module, wanted[path])
    for place, each in enumerate(run):
        if each.path in chosen or place in scale:
            old, new = scale.get(place, (1, 1))
            inputs = _reads(each.module) // old * new
            made[each.path] = _like(each.module, inputs, chosen.get(each.path))
    course.replace_modules(made)
    draw(course)


def width_of(module: nn.Module) -> int:
    """What a layer puts out for each place, in numbers."""
    if isinstance(module, nn.RNNBase):
        return module.hidden_size * (2 if module.bidirectional else 1)
    return int(getattr(module, "out_features", None) or module.out_channels)  # type: ignore[arg-type]


def _reads(module: nn.Module) -> int:
    if isinstance(module, nn.RNNBase):
        return module.input_size
    return int(getattr(module, "in_features", None) or module.in_channels)  # type: ignore[arg-type]


def _free(course: Course) -> list[tuple[list[Call], int]]:
    """The calls, and the places of layers whose width is theirs alone to choose."""
    run = calls(course)
    paths = [each.path for each in run]
    sources = [reader for each in run for reader in each.readers]
    found = []
    for place, each in enumerate(run):
        ours = [run[reader] for reader in each.readers if reader >= 0]
        if (
            _plain(each.module)
            and each.readers
            and -1 not in each.readers
            and paths.count(each.path) == 1
            and all(sources.count(reader) == 1 for reader in each.readers)
            and all(_plain(one.module) and paths.count(one.path) == 1 for one in ours)
            and all(_reads(one.module) % width_of(each.module) == 0 for one in ours)
        ):
            found.append((run, place))
    return found


def _plain(module: nn.Module) -> bool:
    """One of torch's own layers, without groups, projections or layers stacked in it."""
    if type(module) in RECURRENT:
        return not getattr(module, "proj_size", 0)
    return type(module) in PLAIN and getattr(module, "groups", 1) == 1


def _like(module: nn.Module, inputs: int, outputs: int | None) -> nn.Module:
    width = outputs if outputs is not None else width_of(module)
    make: Callable[..., nn.Module] = type(module)
    if isinstance(module, nn.RNNBase):
        settings: dict[str, Any] = {
            name: getattr(module, name)
            for name in ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
        }
        if isinstance(module, nn.RNN):
            settings["nonlinearity"] = module.nonlinearity
        return make(inputs, max(1, width // (2 if module.bidirectional else 1)), **settings)
    bias = module.bias is not None
    if isinstance(module, nn.Linear):
        return make(inputs, width, bias=bias)
    names = ["kernel_size", "stride", "padding", "dilation", "padding_mode"]
    if getattr(module, "transposed", False):
        names.append("output_padding")
    return make(inputs, width, bias=bias, **{name: getattr(module, name) for name in names})


def _channels(module: nn.Module) -> int:
    if isinstance(module, nn.LayerNorm):
        return int(module.normalized_shape[-1]) if len(module.normalized_shape) == 1 else 0
    if isinstance(module, NORMS):
        return int(getattr(module, "num_features", 0) or getattr(module, "num_channels", 0))
    return module.num_parameters if isinstance(module, nn.PReLU) else 0


def _like_norm(module: nn.Module, width: int) -> nn.Module:
    if isinstance(module, nn.PReLU):
        return nn.PReLU(width)
    if isinstance(module, nn.LayerNorm):
        return nn.LayerNorm(width, eps=module.eps)
    if isinstance(module, nn.GroupNorm):
        groups = max(g for g in range(1, module.num_groups + 1) if width % g == 0)
        return nn.GroupNorm(groups, width, eps=module.eps)
    make: Callable[..., nn.Module] = type(module)
    names = ("eps", "momentum", "affine", "track_running_stats")
    return make(width, **{name: getattr(module, name) for name in names})
