"""What was kept, as lines of Python for the user's own script.

The lines are read off the training as it was given and as it was treated, side by side. Where
anything differs that has no line here (weights drawn anew, layers exchanged, labels mapped, a
change in the middle of the training), there is no patch at all: half of one would be another
training than the one that was measured.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.doctor.treatments._layers import Standardise
from netwright.doctor.trials.course import Course

MOST = 32
"""Numbers that are written out."""

CLASS = """class Standardise(torch.nn.Module):
    def __init__(self, mean, spread):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, x):
        return (x - self.mean) / self.spread


"""

Writer = Callable[[Course, Course], list[str] | None]


def patch_of(given: Course, begun: Course, ended: Course) -> str:
    """The lines, or an empty string. `begun` is the treated training where it began, and `ended`
    the one whose model is handed back."""
    if begun.done or ended.epochs != begun.epochs or ended.ends is not None:
        return ""
    lines: list[str] = []
    for write in (_model, _optimizer, _schedule, _loss, _data, _loop):
        written = write(given, begun)
        if written is None:
            return ""
        lines += written
    return "\n".join(lines)


def _model(given: Course, treated: Course) -> list[str] | None:
    if _alike(given.model, treated.model):
        return []
    parts = list(treated.model.children())
    first = parts[0] if len(parts) == 2 else None
    if type(treated.model) is not nn.Sequential or not isinstance(first, Standardise):
        return None
    if not _alike(given.model, parts[1]) or first.mean.numel() > MOST:
        return None
    return [
        *CLASS.splitlines(),
        f"mean = torch.tensor({first.mean.tolist()})",
        f"spread = torch.tensor({first.spread.tolist()})",
        "model = torch.nn.Sequential(Standardise(mean, spread), model)",
    ]


def _optimizer(given: Course, treated: Course) -> list[str] | None:
    old, new = given.optimizer, treated.optimizer
    same = type(old) is type(new) and len(old.param_groups) == len(new.param_groups)
    if same and _settings(old) == _settings(new) and _names(given) == _names(treated):
        return []
    whole = [name for name, each in treated.model.named_parameters() if each.requires_grad]
    if type(new).__module__.startswith("torch.optim") and _names(treated) == [whole]:
        written = "".join(f", {name}={value!r}" for name, value in _unusual(new).items())
        kind = f"torch.optim.{type(new).__name__}"
        return [f"optimizer = {kind}(model.parameters(){written})  # before its scheduler"]
    if not same or _names(given) != _names(treated) or _settings(old, "lr") != _settings(new, "lr"):
        return None
    rates = [_rate(each) for each in new.param_groups]
    return [
        f"for group, rate in zip(optimizer.param_groups, {rates}):  # before its scheduler",
        '    group["lr"] = rate',
    ]


def _schedule(given: Course, treated: Course) -> list[str] | None:
    """One that was handed over is made in the script, of an optimizer with the new rates."""
    old, new = given.scheduler, treated.scheduler
    if type(old) is not type(new) or given.scheduler_every != treated.scheduler_every:
        return None
    if old is None or new is None:
        return []
    apart = ("base_lrs", "_last_lr")
    states = [{k: v for k, v in each.state_dict().items() if k not in apart} for each in (old, new)]
    bound = (old.optimizer is given.optimizer) == (new.optimizer is treated.optimizer)
    return [] if bound and _equal(*states) else None


def _loss(given: Course, treated: Course) -> list[str] | None:
    old, new = given.loss, treated.loss
    if isinstance(old, nn.Module) and isinstance(new, nn.Module):
        return [] if _alike(old, new) and _equal(_plain(old), _plain(new)) else None
    code = [getattr(each, "__code__", each) for each in (old, new)]
    return [] if code[0] is code[1] else None


def _data(given: Course, treated: Course) -> list[str] | None:
    old, new = given.train, treated.train
    kept = ("read", "rows", "changes", "unit", "weights")
    if any(getattr(old, each) is not getattr(new, each) for each in kept):
        return None
    if given.val.changes is not treated.val.changes:
        return None
    if (old.batch, old.shuffle, old.drop_last) == (new.batch, new.shuffle, new.drop_last):
        return []
    last = ", drop_last=True" if new.drop_last else ""
    size = new.batch * new.unit
    return [f"loader = DataLoader(train_data, batch_size={size}, shuffle={new.shuffle}{last})"]


def _loop(given: Course, treated: Course) -> list[str]:
    lines = [] if given.epochs == treated.epochs else [f"epochs = {treated.epochs}"]
    if treated.clip is not None and treated.clip != given.clip:
        limit = float(f"{treated.clip:.4g}")
        lines += [
            "# between loss.backward() and optimizer.step():",
            f"torch.nn.utils.clip_grad_norm_(model.parameters(), {limit})",
        ]
    return lines


def _names(course: Course) -> list[list[str]]:
    """Of what each group holds, in the order of the model; "" is none of the model's."""
    paths = {id(each): name for name, each in course.model.named_parameters()}
    order = {name: place for place, name in enumerate(paths.values())}
    return [
        sorted(
            (paths.get(id(each), "") for each in group["params"]), key=lambda n: order.get(n, -1)
        )
        for group in course.optimizer.param_groups
    ]


def _rate(group: dict[str, Any]) -> float:
    """What the group is given: a schedule goes on from there."""
    return float(f"{float(group.get('initial_lr', group['lr'])):.6g}")


def _settings(optimizer: Optimizer, *apart: str) -> list[dict[str, Any]]:
    usual = [name for name in optimizer.defaults if name not in apart]
    return [
        {name: _rate(group) if name == "lr" else group.get(name) for name in usual}
        for group in optimizer.param_groups
    ]


def _unusual(optimizer: Optimizer) -> dict[str, Any]:
    """The rate, and what is not as the class has it."""
    (settings,) = _settings(optimizer)
    known = inspect.signature(type(optimizer)).parameters
    return {
        name: value
        for name, value in settings.items()
        if name in known and (name == "lr" or value != known[name].default)
    }


def _alike(one: nn.Module, other: nn.Module) -> bool:
    """The same layers with the same weights."""
    return str(one) == str(other) and _equal(one.state_dict(), other.state_dict())


def _plain(module: nn.Module) -> dict[str, Any]:
    usual = vars(nn.Module()).keys()
    return {name: value for name, value in vars(module).items() if name not in usual}


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.shape == b.shape and torch.equal(a, b)
        if type(a) is not type(b):
            return False
        plain = isinstance(a, int | float | str | bool | list | tuple | dict) or a is None
        return bool(a == b) if plain else True  # a function, of which there are copies

    return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
