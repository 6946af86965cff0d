"""The tools that are compared, each behind one call, and the process in which one of them runs.

    python inspectors.py cells TOOL --say=FD            # answers, a fresh fork for each line
    python inspectors.py times TOOL NETWORK --say=FD    # seconds of one call for each line
    python inspectors.py once TOOL NETWORK KIND         # import, build, one call, end
    python inspectors.py memory TOOL NETWORK KIND SIDE  # the same, and what it took at most

A tool gets a model, args and kwargs and gives the multiply-adds, the parameters and what it says it
left out. Where it cannot pass such inputs on, it gets the network in a wrapper that does
(`Passes`). Of a tool that tells operations apart only the contractions are taken.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.util
import inspect
import json
import os
import re
import resource
import signal
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from networks import NETWORKS, Network

SECONDS = 120  # a call may take
Answer = tuple[int | None, int | None, list[str]]
Tool = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Answer]


def netwright() -> Tool:
    from netwright.inspection.tracing import trace

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        record = trace(model, args, kwargs)
        assert record.layers  # made when they are asked for: whoever prints a table asks
        return record.macs, record.params, [name for name, _ in record.unruled]

    return call


def flop_counter_mode() -> Tool:
    """As its documentation says; it counts no parameters."""

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        with FlopCounterMode(display=False) as counter:
            model(*args, **kwargs)
        return counter.get_total_flops() // 2, None, []

    return call


def torchinfo() -> Tool:
    from torchinfo import summary

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        if args:
            found = summary(model, input_data=list(args), verbose=0, **kwargs)
        else:
            found = summary(model, input_data=kwargs, verbose=0)
        return found.total_mult_adds, found.total_params, []

    return call


def fvcore() -> Tool:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    others = re.compile("norm|upsample|pool|grid_sampler")

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        model, args = passed(model, args, kwargs)
        found = FlopCountAnalysis(model, args).unsupported_ops_warnings(False)
        found.uncalled_modules_warnings(False).tracer_warnings("none")
        macs = sum(n for name, n in found.by_operator().items() if not others.search(name))
        return int(macs), parameter_count(model)[""], list(found.unsupported_ops())

    return call


def ptflops(backend: str) -> Tool:
    # On meta tensors torch imports this on the way, and fails on functions that are patched then.
    importlib.import_module("torch._dynamo")
    from ptflops import get_model_complexity_info

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        if kwargs or len(args) > 1 or not isinstance(args[0], Tensor):
            first = next(each for each in (*args, *kwargs.values(), *nested(args)) if _is(each))
            model, args = Passes(model, args, kwargs), (first.new_ones(1),)
        # It prints the exception and gives (None, None).
        macs, params = get_model_complexity_info(
            model,
            tuple(args[0].shape),
            print_per_layer_stat=False,
            as_strings=False,
            input_constructor=lambda _: args[0],
            backend=backend,
        )
        if macs is None:
            raise RuntimeError("ptflops printed an exception")
        return int(macs), params, []

    return call


def thop() -> Tool:
    from thop import profile

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        model, args = passed(model, args, kwargs)
        macs, params = profile(model, inputs=args, verbose=False)
        return int(macs), int(params), []

    return call


def calflops() -> Tool:
    # Its __init__ wants transformers and accelerate, for what is not used here.
    found = importlib.util.find_spec("calflops")
    assert found is not None
    package = types.ModuleType("calflops")
    package.__path__ = list(found.submodule_search_locations or [])
    sys.modules["calflops"] = package
    from calflops.flops_counter import calculate_flops

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        model, args = passed(model, args, kwargs)
        _, macs, params = calculate_flops(
            model, args=list(args), kwargs={}, print_results=False, output_as_string=False
        )
        return int(macs), int(params), []

    return call


def forward() -> Tool:
    """Not a tool: the forward pass itself, to compare times with."""

    def call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
        model(*args, **kwargs)
        return None, None, []

    return call


TOOLS: dict[str, Callable[[], Tool]] = {
    "netwright": netwright,
    "FlopCounterMode": flop_counter_mode,
    "torchinfo": torchinfo,
    "fvcore": fvcore,
    "ptflops": lambda: ptflops("pytorch"),
    "ptflops (aten)": lambda: ptflops("aten"),
    "thop": thop,
    "calflops": calflops,
    "forward": forward,
}


class Passes(nn.Module):
    """Calls the network with the inputs it was made with, whatever it is given itself."""

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.model = model
        self._given = args, kwargs
        self.training = model.training

    def forward(self, *_: Any) -> Any:
        args, kwargs = self._given
        return self.model(*args, **kwargs)


def passed(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[nn.Module, tuple[Any, ...]]:
    """The network and tensors by position: itself where that is what it takes."""
    if not kwargs and all(isinstance(each, Tensor) for each in args):
        return model, args
    if kwargs and not args:
        names = list(inspect.signature(model.forward).parameters)
        if set(kwargs) <= set(names):
            return model, tuple(kwargs[name] for name in names if name in kwargs)
    first = next(each for each in (*args, *kwargs.values(), *nested(args)) if _is(each))
    return Passes(model, args, kwargs), (first,)


def nested(args: tuple[Any, ...]) -> Iterator[Any]:
    for each in args:
        if isinstance(each, dict):
            yield from each.values()


def _is(each: Any) -> bool:
    return isinstance(each, Tensor)


@functools.cache
def fake_mode() -> FakeTensorMode:
    return FakeTensorMode()


@contextlib.contextmanager
def tensors(kind: str) -> Iterator[None]:
    """Where tensors are made: real ones, on the meta device, or fake."""
    if kind == "fake":
        with fake_mode():
            yield
    else:
        with torch.device("meta" if kind == "meta" else "cpu"):
            yield


def built(network: Network, kind: str, *, training: bool) -> tuple[nn.Module, Any, Any]:
    """The network with constant weights (drawing them takes longer than to look), its inputs."""
    drawing = ("kaiming_uniform_", "uniform_", "xavier_uniform_", "xavier_normal_", "normal_")
    kept = {name: getattr(nn.init, name) for name in drawing}
    try:
        for name in drawing:
            setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        with tensors("real" if kind == "fake" else kind):
            model = network.build().train(training)
        with tensors(kind):
            args, kwargs = network.inputs()
    finally:
        for name, function in kept.items():
            setattr(nn.init, name, function)
    if kind == "fake":
        made_fake(model)
    elif kind == "real":
        with torch.no_grad():
            for each in model.parameters():
                each.fill_(0.01)
    return model, args, kwargs


def made_fake(model: nn.Module) -> None:
    """Not built fake: the encoder copies its layer, and a copied fake tensor has another mode."""
    memo: dict[int, Tensor] = {}
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, each in store.items():
                if each is not None:
                    fake = memo.setdefault(id(each), fake_mode().from_tensor(each))
                    store[name] = fake


GRADS: dict[str, Callable[[], Any]] = {
    "grad": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
}


def answer(tool: Tool, network: Network, kind: str, grad: str, training: bool) -> dict[str, Any]:
    """What the tool says about the network in one mode, and what it leaves behind."""
    from footprints import Footprints

    model, args, kwargs = built(network, kind, training=training)
    result: dict[str, Any] = {"params_true": sum(each.numel() for each in model.parameters())}
    with fake_mode() if kind == "fake" else contextlib.nullcontext(), GRADS[grad]():
        footprints = Footprints(model)
        try:
            macs, params, told = tool(model, args, kwargs)
            result |= {"macs": macs, "params": params, "told": told}
        except Exception as error:
            said = str(error).strip() or "no words"
            result["error"] = f"{type(error).__name__}: {said.splitlines()[0][:160]}"
        result["left"] = footprints.left()
    return result


def cells(name: str, ear: Any, mouth: Any) -> None:
    """For each line {network, kind, grad, training} a forked process answers with a line."""
    tool = TOOLS[name]()
    importlib.import_module("footprints")  # before the forks; not in the other processes
    print("{}", file=mouth, flush=True)
    for line in ear:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(SECONDS)
            result = answer(
                tool, NETWORKS[asked["network"]], asked["kind"], asked["grad"], asked["training"]
            )
            print(json.dumps(result), file=mouth, flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            how = f"the process ended with status {status}"
            print(json.dumps({"error": how, "left": []}), file=mouth, flush=True)


def times(name: str, network: str, ear: Any, mouth: Any) -> None:
    """For each line, a kind of tensors, the seconds of one call on a network nobody has seen.

    By the clock, and of this thread on the processor: the latter mean something under load too.
    """
    tool = TOOLS[name]()
    print("{}", file=mouth, flush=True)
    for line in ear:
        model, args, kwargs = built(NETWORKS[network], line.strip(), training=False)
        result: dict[str, Any] = {}
        with torch.no_grad():
            clock, processor = time.perf_counter(), time.thread_time()
            try:
                tool(model, args, kwargs)
                result["processor"] = time.thread_time() - processor
                result["clock"] = time.perf_counter() - clock
            except Exception as error:
                result["error"] = type(error).__name__
        del model, args, kwargs
        print(json.dumps(result), file=mouth, flush=True)


def once(name: str, network: str, kind: str) -> None:
    tool = TOOLS[name]()
    model, args, kwargs = built(NETWORKS[network], kind, training=False)
    with torch.no_grad():
        tool(model, args, kwargs)


def memory(name: str, network: str, kind: str, side: int, mouth: Any) -> None:
    """Peak of the resident size, MB, before and after one call for an image of this side.

    A real image is allocated and not written: it takes no memory until somebody reads it.
    """
    tool = TOOLS[name]()
    model, _, _ = built(NETWORKS[network], kind, training=False)
    with tensors(kind):
        image = torch.empty(1, 3, side, side)
    before = _peak()
    with torch.no_grad():
        tool(model, (image,), {})
    print(json.dumps({"before": before, "after": _peak()}), file=mouth, flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("cells", "times", "once", "memory"))
    parser.add_argument("tool", choices=tuple(TOOLS))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--say", type=int, default=1, help="where answers go; tools print too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with os.fdopen(given.say, "w") as mouth:
        if given.what == "cells":
            cells(given.tool, sys.stdin, mouth)
        elif given.what == "times":
            times(given.tool, given.rest[0], sys.stdin, mouth)
        elif given.what == "once":
            once(given.tool, given.rest[0], given.rest[1])
        else:
            memory(given.tool, given.rest[0], given.rest[1], int(given.rest[2]), mouth)


if __name__ == "__main__":
    main()
