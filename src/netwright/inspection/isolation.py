"""A place where a trace leaves no mark: no mode of the caller reaches in, no random state moves."""

from __future__ import annotations

import contextlib
import logging
import random
import sys
from collections.abc import Callable, Iterator

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import _disable_current_modes

from netwright.core.errors import NetwrightError, SettingError


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Gradients on, inference mode and the caller's dispatch modes off, autocast off; then all is
    as before, and so are the random states of Python, NumPy and torch, also after an exception."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_disable_current_modes())
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_random_states())
        stack.enter_context(_quiet())
        yield


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    python, torchs = random.getstate(), torch.get_rng_state()
    draws = sys.modules.get("numpy.random")  # else nobody drew from it yet
    numpys = draws.get_state() if draws else None
    try:
        yield
    finally:
        random.setstate(python)
        torch.set_rng_state(torchs)
        if draws:
            draws.set_state(numpys)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch logs a traceback for a shape that does not fit; here that is an error with words."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


@contextlib.contextmanager
def callers_autocast() -> Iterator[None]:
    """The caller's autocast, as it is on the CPU, for a forward pass; no cast outlives it.

    The caller's own context would keep the casts of weights until it ends, that is, for ever.
    """
    device = next((each for each in ("cpu", "cuda") if torch.is_autocast_enabled(each)), None)
    if device is None:
        yield
        return
    dtype = torch.get_autocast_dtype(device)
    torch.clear_autocast_cache()
    try:
        with torch.autocast("cpu", dtype=dtype):
            yield
    finally:
        torch.clear_autocast_cache()


@contextlib.contextmanager
def explained(
    where: Callable[[BaseException], str], operation: Callable[[], str]
) -> Iterator[None]:
    """What a step without values raises, as an error that says where and why.

    `where` and `operation` are asked when it happens: the layer and its operation.
    """
    try:
        yield
    except NetwrightError:
        raise
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise SettingError(
            "{layer} needs the values of a tensor ({operation}), and a trace computes none.",
            hint="A step whose path or shapes depend on values has no memory that could be told "
            "before it runs.",
            layer=where(error) or "(model)",
            operation=operation(),
        ) from error
    except UnsupportedOperatorException as error:
        raise SettingError(
            "{layer} runs {operation}, whose shapes torch does not know without computing it.",
            hint="Register a fake kernel for it: torch.library.register_fake.",
            layer=where(error) or "(model)",
            operation=operation(),
        ) from error
    except Exception as error:  # whatever the network itself raises for this input
        raise SettingError(
            "The step does not run in {layer}: {reason}",
            layer=where(error) or "(model)",
            reason=str(error).partition("\n")[0] or type(error).__name__,
        ) from error
