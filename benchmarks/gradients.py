"""`nw.check_gradients` beside `torch.autograd.gradcheck`, plain and with `fast_mode=True`.

    python benchmarks/gradients.py            # some ten minutes on one core
    python benchmarks/gradients.py --quick    # without plain gradcheck of networks; keeps nothing

Four questions: how long a check of a whole network takes; which mistakes in custom backward passes
are found, and the wrong input named (`gradient_faults.py`); what is said of correct networks that
are hard to check (`gradient_networks.py`); and whether a mistake planted in one parameter of a
network is named, and nothing else. gradcheck is called as its documentation says: float64, all
parameters and inputs as inputs of the function, its own tolerances. The table is written to
`gradients.md`.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError
from torch.nn.utils.parametrize import register_parametrization

import netwright as nw
from cells import machine
from gradient_faults import FAULTS
from gradient_networks import SOUND, TIMED, lenet, resnet

HERE = Path(__file__).resolve().parent
MOST = 100_000
"""Entries above which plain gradcheck is not run: two forward passes each."""

Answer = tuple[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small, and keeps nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    nw.check_gradients(nn.Linear(2, 2), (2,))  # what is loaded once is loaded
    setup = {**machine(), "torch": version("torch"), "netwright": version("netwright")}
    lines = []
    for part in (
        heading(setup),
        timed(0 if given.quick else MOST),
        faults(),
        sound(),
        planted(2 if given.quick else None),
    ):
        for line in part:
            print(line, flush=True)
            lines.append(line)
    if not given.quick:
        (HERE / "gradients.md").write_text("\n".join(lines) + "\n")


def heading(setup: dict[str, Any]) -> Iterator[str]:
    yield "# Gradient checks of whole networks"
    yield ""
    yield (
        f"{setup['processor']}, one thread; Python {setup['python']}, torch {setup['torch']}, "
        f"Netwright {setup['netwright']}. Written by `benchmarks/gradients.py`. The peer is "
        "`torch.autograd.gradcheck` of the same torch. Cockpit (its checks are of the health of a "
        "training) and BackPACK check no gradients of others; of the tools known to us only "
        "gradcheck does what is compared here."
    )


def timed(most: int) -> Iterator[str]:
    yield from ("", "## Time", "")
    yield "All parameters and the input of a correct network. `=` is what was answered."
    yield ""
    yield "| network | entries | check_gradients | gradcheck, fast | gradcheck, plain |"
    yield "|---|---:|---:|---:|---:|"
    for name, make in TIMED.items():
        torch.manual_seed(0)
        module, inputs = make()
        entries = sum(e.numel() for e in (*module.parameters(), *inputs))
        ours = min((check(module, inputs) for _ in range(5)), key=lambda each: each[1])
        fast = min((gradcheck(module, inputs, fast=True) for _ in range(5)), key=lambda e: e[1])
        plain = gradcheck(module, inputs) if entries <= most else None
        cells = [f"{ours[1]:.2f} s = {ours[0]}"]
        for each in (fast, plain):
            ratio = f"{each[1] / ours[1]:,.1f}" if each else ""
            cells.append(f"{each[1]:.2f} s, **{ratio}** times = {each[0]}" if each else "not run")
        yield f"| {name} | {entries:,} | {' | '.join(cells)} |"


def faults() -> Iterator[str]:
    yield from ("", "## Mistakes in custom backward passes", "")
    yield "| mistake | check_gradients names | gradcheck, fast | gradcheck, plain |"
    yield "|---|---|---|---|"
    counts = [0, 0, 0]
    for name, fault in FAULTS.items():
        found = nw.check_gradients(fault.function, *fault.inputs())
        wrong = [each.name for each in found.table if each.verdict == "wrong"]
        exact = sorted(wrong) == sorted(fault.wrong)
        peers = [gradcheck(fault.function.apply, fault.inputs(), fast=f)[0] for f in (True, False)]
        counts = [a + b for a, b in zip(counts, (exact, peers[0] != "right", peers[1] != "right"),
                  strict=True)]  # fmt: skip
        yield f"| {name} | {', '.join(wrong) or 'none'}{'' if exact else ' (!)'} | " + (
            f"{peers[0]} | {peers[1]} |"
        )
    yield f"| found, of {len(FAULTS)} | **{counts[0]}** | {counts[1]} | {counts[2]} |"


def sound() -> Iterator[str]:
    yield from ("", "## What is said of correct networks", "")
    yield (
        "`kink`: a kink stands exactly at the point given, and check_gradients says so without "
        "calling it an error. Of gradcheck the fast mode alone is asked for networks of more than "
        "3,000 entries."
    )
    yield ""
    yield "| network | check_gradients | gradcheck, fast | gradcheck, plain |"
    yield "|---|---|---|---|"
    counts = [0, 0, 0]
    for name, make in SOUND.items():
        torch.manual_seed(0)
        function, inputs = make()
        found = nw.check_gradients(function, *inputs)
        kinks = any(each.verdict == "kink" for each in found.table)
        ours = ("kink" if kinks else "right") if found.ok else "WRONG"
        entries = sum(e.numel() for e in (*parameters(function).values(), *inputs))
        fast = gradcheck(function, inputs, fast=True)[0]
        plain = gradcheck(function, inputs)[0] if entries <= 3000 else "not asked"
        said = (ours == "WRONG", fast != "right", plain not in ("right", "not asked"))
        counts = [a + b for a, b in zip(counts, said, strict=True)]
        yield f"| {name} | {ours} | {fast} | {plain} |"
    yield f"| false alarms, of {len(SOUND)} | **{counts[0]}** | {counts[1]} | {counts[2]} |"


def planted(most: int | None) -> Iterator[str]:
    yield from ("", "## A mistake in one parameter of a network", "")
    yield (
        "One parameter after another gets a wrong gradient: all of it 1 % too large, or the entry "
        "of middle size among its gradients not zero set to zero. Named: that parameter is called "
        "wrong, and nothing else is."
    )
    yield ""
    yield "| network | parameters | 1 % too large, named | one entry zero, named |"
    yield "|---|---:|---:|---:|"
    for name, make, inputs in (
        ("LeNet-5", lenet, torch.randn(2, 1, 28, 28)),
        ("ResNet-8", lambda: resnet(8, 8), torch.randn(4, 3, 16, 16)),
    ):
        torch.manual_seed(0)
        model = make()
        names = [each for each, _ in model.named_parameters()][:most]
        cells = []
        for kind in (OnePercent, OneEntryZero):
            hits = sum(_named(make, each, kind(), inputs) for each in names)
            cells.append(f"{hits} of {len(names)}")
        yield f"| {name} | {len(names)} | {' | '.join(cells)} |"


class _Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.change = change
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.change(grad), None


class OnePercent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Wrong.apply(x, lambda grad: 1.01 * grad)


class OneEntryZero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        def change(grad: Tensor) -> Tensor:
            flat = grad.clone().reshape(-1)
            alive = flat.nonzero()[:, 0]
            if len(alive):
                flat[alive[flat[alive].abs().argsort()[len(alive) // 2]]] = 0.0
            return flat.reshape(grad.shape)

        return _Wrong.apply(x, change)


def _named(make: Callable[[], nn.Module], name: str, wrong: nn.Module, inputs: Tensor) -> bool:
    torch.manual_seed(0)
    model = make()
    path, _, own = name.rpartition(".")
    register_parametrization(model.get_submodule(path), own, wrong)
    found = nw.check_gradients(model, inputs)
    said = [each.name for each in found.table if each.verdict == "wrong"]
    return said == [f"{path}.parametrizations.{own}.original"]


def check(function: Any, inputs: Sequence[Any]) -> Answer:
    began = time.perf_counter()
    found = nw.check_gradients(function, *inputs)
    return "right" if found.ok else "wrong", time.perf_counter() - began


def parameters(function: Any) -> dict[str, Tensor]:
    return dict(function.named_parameters()) if isinstance(function, nn.Module) else {}


def gradcheck(function: Any, inputs: Sequence[Any], *, fast: bool = False) -> Answer:
    """What gradcheck says, and how long it takes: every tensor with a point is its input."""
    if isinstance(function, nn.Module):
        function = function.double()
    names = list(parameters(function))
    leaves = [
        e.detach().clone().double().requires_grad_() if e.is_floating_point() else e
        for e in (*inputs, *parameters(function).values())
    ]

    def call(*tensors: Tensor) -> Any:
        given, weights = tensors[: len(inputs)], tensors[len(inputs) :]
        given = tuple(e.clone() for e in given)
        if isinstance(function, nn.Module):
            output = torch.func.functional_call(function, dict(zip(names, weights, strict=True)),
                                                given)  # fmt: skip
        else:
            output = function(*given)
        return tuple(_flat(output))

    began = time.perf_counter()
    try:
        said = torch.autograd.gradcheck(call, tuple(leaves), fast_mode=fast)
        answer = "right" if said else "wrong"
    except GradcheckError as error:
        answer = "not deterministic" if "not reentrant" in str(error) else "wrong"
    except Exception as error:
        answer = f"refuses ({type(error).__name__})"
    return answer, time.perf_counter() - began


def _flat(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.requires_grad:
            yield output
    elif isinstance(output, dict):
        yield from _flat(list(output.values()))
    else:
        for each in output:
            yield from _flat(each)


if __name__ == "__main__":
    main()
