"""A network whose parameters, gradients and optimizer state are cut among the ranks (FSDP2).

Each rank keeps its rows of every parameter. A stage is put together for its forward pass and again
for its backward pass, and is cut up when that is through; its gradients are added up over the ranks
on the way, each rank keeping its rows of the sum. The optimizer sees those rows only: it works
element by element, so that its steps are those of the whole.

What leaves the ranks (a checkpoint) is put together on the first rank's host, tensor by tensor, and
is the same as without any cutting: docs/decisions/0014 says why.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from netwright.core.errors import SettingError
from netwright.nn.stages import stages
from netwright.optim.averages import Average
from netwright.train.ranks import Group
from netwright.train.updates import total_norm


class Shards:
    """The cut network of one of several ranks. All its methods but `load_*` are collective.

    It changes `model` and `optimizer` in place; the optimizer must not have taken a step yet.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        ranks: Group,
        device: torch.device,
        *,
        rebuild: Callable[[], nn.Module],
    ) -> None:
        """`model` may lie on the host: stages are moved to `device` one by one as they are cut.
        `rebuild` makes another network of the same parts, for who needs a whole one."""
        self.model, self.ranks, self.rebuild = model, ranks, rebuild
        before = {id(each): name for name, each in _parameters(model).items()}
        self._shapes = {name: each.shape for name, each in _parameters(model).items()}
        _cut(model, DeviceMesh(device.type, list(range(ranks.size))))
        # Stages move the parameters they cut; what is not cut and what is no parameter is moved so.
        for each in [*model.buffers(), *_uncut(model)]:
            each.data = each.data.to(device)
        with torch.no_grad():
            self._rows = {name: _local(each) for name, each in _parameters(model).items()}
        for group in optimizer.param_groups:
            group["params"] = [self._rows[before[id(each)]] for each in group["params"]]
        self._optimizer = optimizer
        self._names = {id(each): name for name, each in self._rows.items()}
        self._whole = [each for name, each in self._rows.items() if self._is_whole(name)]

    def add_gradients(self, numbers: Sequence[float]) -> list[float]:
        """Hand the gradients that the backward passes left to the optimizer; the sums of `numbers`
        over all ranks."""
        with torch.no_grad():
            for name, each in _parameters(self.model).items():
                if isinstance(each, DTensor) and each.grad is not None:
                    self._rows[name].grad = each.grad.to_local()  # type: ignore[attr-defined]
                    each.grad = None
        return self.ranks.add_gradients(self._whole, numbers)

    def norm(self, gradients: list[Tensor]) -> float:
        """The Euclidean norm of the optimizer's gradients in all ranks together."""
        shared = {id(each.grad) for each in self._whole}
        own = total_norm([each for each in gradients if id(each) not in shared])
        alike = total_norm([each for each in gradients if id(each) in shared])
        squares = self.ranks.total(torch.tensor([own * own], dtype=torch.float64))
        return math.sqrt(float(squares[0]) + alike * alike) if alike == alike else math.nan

    def tensors(self) -> dict[str, Tensor]:
        """This rank's rows of the parameters, and the buffers, by the names of the state dict."""
        held = self.model.state_dict(keep_vars=True)
        return {
            name: self._rows.get(name, each)
            for name, each in held.items()
            if isinstance(each, Tensor)
        }

    def weights(self, rows: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Whole parameters, and buffers, on the first rank's host; nothing on the others. `rows`
        stands for what this rank has of them (default: `tensors()`)."""
        rows = self.tensors() if rows is None else rows
        found = {name: self._gathered(each, self._shapes.get(name)) for name, each in rows.items()}
        return found if self.ranks.first else {}

    def optimizer_state(self) -> dict[str, Any]:
        """`optimizer.state_dict()` as it is where nothing is cut; empty but on the first rank."""
        state = self._optimizer.state_dict()
        whole = {
            number: {
                key: self._gathered(value, self._shapes[name])
                if self._is_rows(value, self._rows[name])
                else value
                for key, value in state["state"][number].items()
            }
            for number, name in self._numbered()
            if number in state["state"]
        }
        return {**state, "state": whole} if self.ranks.first else {}

    @torch.no_grad()
    def load_weights(
        self, weights: Mapping[str, Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> None:
        """Take this rank's rows of whole `weights`, into the network or into `rows`. Raises
        RuntimeError as `load_state_dict` does where names or shapes are others."""
        rows = self.tensors() if rows is None else rows
        differ = {*rows} ^ {*weights}
        differ |= {n for n in {*rows} & {*weights} if weights[n].shape != self._shape(n, rows[n])}
        if differ:
            raise RuntimeError(f"Error(s) in loading state_dict: {', '.join(sorted(differ))}")
        for name, each in rows.items():
            each.copy_(self._cut_out(weights[name], each))

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Take this rank's rows of what `optimizer_state` gave."""
        own = {
            number: {
                key: self._cut_out(value, self._rows[name])
                if isinstance(value, Tensor) and value.shape == self._shapes[name]
                else value
                for key, value in state["state"][number].items()
            }
            for number, name in self._numbered()
            if number in state["state"]
        }
        self._optimizer.load_state_dict({**state, "state": own})

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """The block of forward and backward passes: what is missed in it is another rank."""
        try:
            with self.ranks.watched():
                yield
        except RuntimeError as error:
            if "DTensor" not in str(error):
                raise
            raise SettingError(
                "run.shard: the network uses the weights of a part without calling the part, or in "
                "a way that cannot be cut: {reason}",
                hint="Set run.shard=false.",
                reason=str(error).strip().partition("\n")[0][:200],
            ) from error

    def whole_network(self, weights: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        """Another network, not cut, with `weights`; one rank may ask for it by itself."""
        with torch.random.fork_rng(devices=[]):
            network = self.rebuild()
        network.load_state_dict(weights)
        return network.to(device)

    def _numbered(self) -> Iterator[tuple[int, str]]:
        """The optimizer's numbers of the parameters, and their names."""
        held = [each for group in self._optimizer.param_groups for each in group["params"]]
        return ((number, self._names[id(each)]) for number, each in enumerate(held))

    def _is_whole(self, name: str) -> bool:
        return not self._shapes[name]

    def _shape(self, name: str, rows: Tensor) -> torch.Size:
        return self._shapes.get(name, rows.shape)

    def _is_rows(self, value: Any, rows: Tensor) -> bool:
        return isinstance(value, Tensor) and rows.ndim > 0 and value.shape == rows.shape

    def _height(self, shape: torch.Size) -> int:
        """The most rows that a rank has of a tensor: all but the last ranks have so many."""
        return -(-shape[0] // self.ranks.size)

    def _cut_out(self, whole: Tensor, rows: Tensor) -> Tensor:
        if whole.ndim == 0 or whole.shape == rows.shape:
            return whole
        first = min(self.ranks.rank * self._height(whole.shape), whole.shape[0])
        return whole[first : first + rows.shape[0]]

    def _gathered(self, rows: Tensor, shape: torch.Size | None) -> Tensor:
        """The whole of shape `shape` on the first rank's host, the rows themselves elsewhere."""
        rows = rows.detach()
        if shape is None or not shape:
            return rows
        height = self._height(shape)
        sent = rows.new_zeros(height, *shape[1:])
        sent[: len(rows)] = rows
        count = self.ranks.size if self.ranks.first else 0
        held = [torch.empty_like(sent) for _ in range(count)]
        with self.ranks.watched():
            dist.gather(sent, held or None)
        return torch.cat([each.cpu() for each in held])[: shape[0]] if held else rows


class ShardedAverage(Average):
    """The running average of a cut network: each rank averages its rows."""

    def __init__(self, shards: Shards, decay: float) -> None:
        self._shards = shards
        super().__init__(shards.model, decay)

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        return self._shards.tensors()

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        # What the ranks send each other lies in the memory of the rows: contents change places.
        tensors = self.tensors(model)
        for name, mine in self._averages.items():
            held = tensors[name].clone()
            tensors[name].copy_(mine)
            mine.copy_(held)


def _cut(model: nn.Module, mesh: DeviceMesh) -> None:
    apart = set(_uncut(model))
    options: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": True, "ignored_params": apart}
    named = _parameters(model)
    tied = len({id(each) for each in named.values()}) < len(named)
    names = [] if tied else [each.name for each in stages(model) if each.name]
    for name in names:
        if not any(other.startswith(f"{name}.") for other in names):
            fully_shard(model.get_submodule(name), **options)
    fully_shard(model, **options)
    for each in model.modules():
        if isinstance(each, FSDPModule):  # gradients are summed: losses are shares of the whole
            each.set_gradient_divide_factor(1.0)
            each.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sums


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return dict(model.named_parameters(remove_duplicate=False))


def _uncut(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of one number, which torch does not cut."""
    return [each for each in model.parameters() if each.ndim == 0]


def _local(parameter: nn.Parameter) -> Tensor:
    """A tensor for the optimizer, in the memory of this rank's rows."""
    if not isinstance(parameter, DTensor):
        return parameter
    rows: Tensor = parameter.to_local().detach()
    return rows.requires_grad_(parameter.requires_grad)
