"""What a registered treatment owes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

from netwright.core.languages import Phrase, speaking
from netwright.core.registry import Entry
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.treatments import Planner
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of
from netwright.doctor.trials.trial import Trial
from netwright.records.findings import Evidence, Finding, Treatment

SAID = Phrase("as it is")
"""Some words of a finding, which no treatment reads."""


def check_treatment(entry: Entry[Planner]) -> None:
    """Hold a leaf of `netwright.doctor.treatments.TREATMENTS` against its contract.

    - it says in a line what it does, is `safe` or `ask`, and cures conditions that are registered;
    - its plans leave the course they were made for as it was, to the bit, and so does carrying
      them out on a copy;
    - what they make can be trained, copied again, and its optimizer holds what it trains;
    - a plan does the same each time it is carried out, and is said in both languages.
    """
    facts = entry.facts
    assert entry.doc.endswith("."), f"{entry.name} does not say in one line what it does"
    assert facts.get("grade") in ("safe", "ask"), f"{entry.name} is neither safe nor asks"
    assert facts.get("cures"), f"{entry.name} cures nothing"
    assert inspect.isgeneratorfunction(inspect.unwrap(entry.target)), f"{entry.name} gives no plans"
    for name in facts["cures"]:
        assert name in CONDITIONS, f"{entry.name} cures {name}, which is no condition"
        for course in courses():
            check_plans(entry, course, finding_of(name, entry.name, course))


def check_plans(entry: Entry[Planner], course: Course, finding: Finding) -> None:
    """The part of the contract that is about the plans for one course."""
    before = _state(course)
    plans = list(entry.target(course, finding))
    assert _same(before, _state(course)), f"asking {entry.name} changed the course"
    for plan in plans:
        with speaking("zh"):
            assert plan.says.localized() != str(plan.says), f"{entry.name} says {plan.says} alone"
        made = []
        for _ in range(2):
            torch.manual_seed(0)
            made.append(course.copy())
            plan.apply(made[-1])
        assert _same(before, _state(course)), f"{entry.name} changed what it was made from"
        assert _same(_state(made[0]), _state(made[1])), f"{entry.name} differs from time to time"
        left = _unheld(made[0])
        assert not left, f"{entry.name} leaves {left[0]} without an optimizer"
        trial = Trial(made[0])
        trial.go_on(3)
        trial.judged()
        assert not trial.error, f"{entry.name}, {plan.says}: {trial.error}"


def finding_of(name: str, treatment: str, course: Course) -> Finding:
    """A finding of that condition on every layer of the course that has weights."""
    layers = tuple(path for path, each in course.model.named_modules() if _bare(each))
    return Finding(
        name=name,
        severity="warn",
        what=SAID,
        evidence=(
            Evidence(signal=SAID, value=1.0),
            Evidence(signal=SAID, value=1.0, witness="harm"),
        ),
        cause=SAID,
        wrong_if=SAID,
        treatments=(Treatment(name=treatment, grade="ask", why=SAID),),
        layers=layers,
    )


def _unheld(course: Course) -> list[str]:
    """What is trainable and in no group of the optimizer."""
    held = {id(each) for group in course.optimizer.param_groups for each in group["params"]}
    own = course.model.named_parameters()
    return [name for name, each in own if each.requires_grad and id(each) not in held]


def _bare(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))


def courses() -> Iterable[Course]:
    """Small trainings of several kinds: images, a regression of numbers, answers of yes and no, and
    one of a network in which much is odd."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(48, 3, 8, 8, generator=draw)
    classes = torch.randint(0, 4, (48,), generator=draw)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    yield _course(network, SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4),
                  nn.CrossEntropyLoss(), images, classes)  # fmt: skip
    rows = torch.randn(48, 6, generator=draw)
    network = nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Sigmoid(), nn.Linear(16, 1)
    )
    adam = Adam(network.parameters(), lr=1e-3)
    yield _course(network, adam, nn.MSELoss(), rows, 50 * rows[:, :1])
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    yield _course(network, SGD(network.parameters(), lr=0.1), nn.BCEWithLogitsLoss(), rows,
                  (rows[:, 1:2] > 0).float())  # fmt: skip
    yield _odd_course(draw)


def _odd_course(draw: torch.Generator) -> Course:
    """Dropout before a norm, norms of odd momenta and on the output, linear maps in a row, dead
    units, a frozen layer, groups of rates far apart, tensors of nobody, batches of two and one."""
    network = nn.Sequential(
        nn.Linear(6, 8), nn.Dropout(0.2), nn.BatchNorm1d(8, momentum=0.99), nn.Linear(8, 8),
        nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 4), nn.BatchNorm1d(4),
    )  # fmt: skip
    network[0].requires_grad_(False)
    torch.nn.init.constant_(network[3].bias[:3], -50.0)  # type: ignore[index]
    slow: dict[str, Any] = {
        "params": [*network[5].parameters(), nn.Parameter(torch.zeros(3))], "lr": 0.0,
    }  # fmt: skip
    rest = [p for p in network.parameters() if p.requires_grad]
    held = {id(each) for each in slow["params"]}
    optimizer = SGD([slow, {"params": [p for p in rest if id(p) not in held]}], lr=0.1)
    rows, classes = torch.randn(67, 6, generator=draw), torch.arange(67) % 4
    loader = DataLoader(TensorDataset(rows, classes), batch_size=2, shuffle=True)
    return course_of(network, optimizer, nn.CrossEntropyLoss(), loader, (rows, classes), 2, None)


def _course(
    model: nn.Module, optimizer: Any, loss: nn.Module, inputs: Tensor, targets: Tensor
) -> Course:
    train = [(inputs[i : i + 8], targets[i : i + 8]) for i in range(0, 32, 8)]
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    return course_of(model, optimizer, loss, train, (inputs[32:], targets[32:]), 3, None,
                     scheduler=scheduler)  # fmt: skip


def _state(course: Course) -> Any:
    """All that a training of the course depends on, as it is now."""
    scheduler = course.scheduler
    return copy.deepcopy(
        (
            [type(each).__name__ for each in course.model.modules()],
            course.model.state_dict(),
            [each.requires_grad for each in course.model.parameters()],
            type(course.optimizer).__name__,
            course.optimizer.state_dict(),
            None if scheduler is None else getattr(scheduler, "base_lrs", None),
            repr(course.loss),
            (course.epochs, course.clip, course.train.rows, course.train.batch),
            course.train.shuffle,
            list(course.train.batches()),
        )
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        if not isinstance(other, Tensor) or (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        return bool(((one == other) | ((one != one) & (other != other))).all())  # NaN is as it was
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _same(each, other[key]) for key, each in one.items()
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
