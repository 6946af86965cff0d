"""How a recipe is brought to agree with the weights its network starts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from netwright.core.config import show
from netwright.core.errors import SettingError
from netwright.core.events import Event, Noted
from netwright.models import MODELS
from netwright.models.weights.published import is_name, published
from netwright.records.run import Run
from netwright.tasks.architectures import recorded_architecture
from netwright.tasks.settings import Resolved, changed, read_config
from netwright.tasks.starting import Start, read_start, recorded_network
from netwright.tasks.weight_places import exists, path_of, place_of, run_of


def with_start(
    resolved: Resolved, emit: Callable[[Event], None], *, trust_code: bool = False
) -> tuple[Resolved, Start | None]:
    """The recipe with a network that agrees with the weights it starts from, and those weights.

    A MODEL that is a run stands for its architecture and its best weights. Where the weights
    say of which network they are, that network and the options they need are taken, unless
    others were asked for, which raises `SettingError`. `emit` is told of a download.
    """
    resolved = _with_run_as_model(resolved, trust_code=trust_code)
    spec = resolved.recipe.model_common.weights
    if spec is None:
        return resolved, None
    if resolved.recipe.init is not None:
        raise SettingError(
            "init.name and model.weights both say what the network starts from; give one of them."
        )
    if _is_published(spec):
        spec = published(resolved.recipe.model.name).address
    start = read_start(spec, emit)
    start.choose_images(resolved.recipe.transfer.images)
    origin = resolved.origins.get("model.weights", "command line")
    resolved = changed(resolved, {"model.weights": start.place}, origin=origin)
    return _agreeing(resolved, start), start


def start_again(run: Run, resolved: Resolved, emit: Callable[[Event], None]) -> Start | None:
    """The weights a run started from, if it has no checkpoint yet and must begin once more.

    Raises `SettingError` when the file is another one now.
    """
    spec = resolved.recipe.model_common.weights
    if spec is None or any((run.path / "ckpt").glob("step-*")):
        return None
    start = read_start(spec, emit)
    start.choose_images(resolved.recipe.transfer.images)
    recorded = run.model.get("start")
    if isinstance(recorded, Mapping) and recorded.get("sha256") != start.sha256:
        raise SettingError(
            "{path} has changed since the run started from it.",
            hint="Bring the file back, or start a new run.",
            path=str(start.path),
        )
    return start


def as_started(asked: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """`asked` with the weights `run` started from named as the run recorded them.

    The command that started a run may be given again to go on with it: `model.weights=a.pth`
    is then the file recorded with its whole path, and a MODEL that is a run is its network.
    """
    recorded = run.model.get("start")
    if not isinstance(recorded, Mapping) or not isinstance(recorded.get("weights"), str):
        return dict(asked)
    weights = str(recorded["weights"])
    _, path = place_of(weights)
    known = {str(path), weights, str(recorded.get("run"))}
    same = dict(asked)
    given = same.get("model.weights")
    if isinstance(given, str) and (_is_published(given) or str(place_of(given)[1]) in known):
        same["model.weights"] = weights
    for name in ("model", "model.name"):
        model = same.get(name)
        if isinstance(model, str) and str(path_of(model)) in known:
            del same[name]
    return same


def _is_published(spec: str) -> bool:
    """Whether the name of published weights is meant, and not a file that is called so."""
    return is_name(spec) and not exists(path_of(spec))


def _with_run_as_model(resolved: Resolved, *, trust_code: bool) -> Resolved:
    """A MODEL that is a run folder, or a `.safetensors` beside its recipe, spelled out."""
    name = resolved.recipe.model.name
    path = path_of(name)
    if name in MODELS or path.suffix == ".py" or not exists(path):
        return resolved
    run = run_of(path)
    asked = dict(resolved.recipe.model.options)
    weights = resolved.recipe.model_common.weights or str(path)
    if run is not None:
        network, options = recorded_network(run)
        if network is None:
            architecture = recorded_architecture(run, trust_code=trust_code)
            network, options = architecture.name, dict(architecture.options)
            made = architecture.factory
            if (
                made is not None
                and made.path is not None
                and run.path.resolve() in made.path.parents
            ):
                network = f"{made.path}:{made.spec.rpartition(':')[2]}"
        origin = f"run {run.path.name}"
    elif path.suffix == ".safetensors" and path.with_suffix(".yaml").is_file():
        recipe = read_config(str(path.with_suffix(".yaml"))).recipe.model
        network, options = recipe.name, dict(recipe.options)
        origin = f"file {path.with_suffix('.yaml').name}"
    else:
        raise SettingError(
            "{path} is no model: expected a run folder, or a .safetensors file with its recipe "
            "beside it under the same name (.yaml).",
            hint="Name the network, and give the weights as model.weights={path}.",
            path=name,
        )
    settings = {f"model.{each}": value for each, value in {**options, **asked}.items()}
    return changed(
        resolved, {"model.name": network, **settings, "model.weights": weights}, origin=origin
    )


def _agreeing(resolved: Resolved, start: Start) -> Resolved:
    """The recipe with the network of the weights, where they say which that is."""
    if start.network is None:
        return resolved
    chosen = resolved.recipe.model.name
    origin = f"weights {start.path.name}"
    if chosen != start.network:
        if resolved.origins.get("model.name", "default") == "default":
            needed = {f"model.{name}": value for name, value in start.options.items()}
            changes = {"model.name": start.network, **needed}
            return _told(changed(resolved, changes, origin=origin), changes)
        if start.adapter is None:  # another network of the same names and shapes may do
            return resolved
        raise SettingError(
            "The weights in {path} are those of {network}; the model is {model}.",
            hint="Write: netwright train {data} {network} model.weights={weights}",
            path=str(start.path),
            network=start.network,
            model=chosen,
            data=resolved.recipe.data.name,
            weights=start.place,
        )
    changes = {}
    for name, value in start.options.items():
        setting = f"model.{name}"
        given = resolved.values.get(setting)
        if given == value or show(given) == show(value):
            continue
        if resolved.origins.get(setting, "default") == "default":
            changes[setting] = value
        elif start.adapter is not None:
            raise SettingError(
                "The weights in {path} need {setting}={value}; it is {given}.",
                path=str(start.path),
                setting=setting,
                value=show(value),
                given=show(given),
            )
    return _told(changed(resolved, changes, origin=origin), changes) if changes else resolved


def _told(resolved: Resolved, changes: Mapping[str, Any]) -> Resolved:
    """`resolved` with a note of what was taken over from the weights."""
    note = Noted(
        word="NOTE",
        template="the weights say how the network is built: {settings}",
        values={"settings": " ".join(f"{name}={show(value)}" for name, value in changes.items())},
    )
    return dataclasses.replace(resolved, notes=(*resolved.notes, note))
