"""Loops in which no single loss is made smaller: games, targets made by a copy, rewards.

A game has two optimizers. The loss of one player runs through the other, who is not stepped on it
and has a loss of his own, which does not reach back. An encoder and a decoder of one loss are no
game: both are stepped on it. Targets by a copy (a target network, a slow teacher) come from a
network that equals a part of the patient or follows it, and is called at nearly every step.
Rewards weigh log-probabilities, up and down.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from netwright.doctor.patient import Sample, tensors_in
from netwright.doctor.unfolding import given, word_of
from netwright.doctor.watching import discreet
from netwright.doctor.watching.discreet import Hook
from netwright.doctor.watching.hidden import leaves_behind
from netwright.doctor.watching.living import living
from netwright.doctor.watching.owners import parameters_of
from netwright.doctor.watching.roots import guarded
from netwright.doctor.watching.taps import BACKWARD
from netwright.doctor.watching.watcher import Watcher
from netwright.records.facts.setup import Special

LOOKED = 200
"""Backward passes whose graph is followed, where there are several optimizers."""

TIMES = 2
"""Rounds of each player after which a game is one."""

STEPS = 24
"""Steps after which a copy that gives the targets is listened to no more; another one is for
`LOOKED` steps, for it may be one that has not followed yet."""

FEWEST = 4
OFTEN = 0.8
"""Share of at least so many steps at which a copy that gives the targets is called; one that is
kept for validation hardly ever is."""

LOGS = {"log_softmax", "log", "logsumexp", "logsigmoid", "log1p"}


class Games:
    """Counts for each pair of optimizers which losses each of them is stepped on; one for all
    watches of the process, for the players may be watched one by one."""

    def __init__(self) -> None:
        self._optimizers: dict[int, Optimizer] = {}
        self._reached: set[int] | None = None
        """Optimizers that hold something the newest loss reaches, or would if it were not frozen
        now."""
        self._stepped: set[int] = set()
        self._through: Counter[tuple[int, int]] = Counter()
        """(who is stepped, whom else the loss runs through)."""
        self._own: Counter[tuple[int, int]] = Counter()
        """(who is stepped, whom the loss does not reach)."""
        self._players: set[int] = set()
        self._groups: dict[int, int] = {}
        """A number for all optimizers that are stepped on one loss."""
        self._given = 0
        self._looked = 0
        self._end: Callable[[], None] | None = None

    def add(self, optimizer: Optimizer) -> None:
        self._optimizers[id(optimizer)] = optimizer
        if self._end is None and len(self._optimizers) > 1:
            self._looked = 0
            self._end = BACKWARD.listen(guarded(self._backward_begins, self._give_up))

    def remove(self, optimizer: Optimizer) -> None:
        key = id(optimizer)
        if key not in self._optimizers:
            return
        self._settle()  # the other player may be asked about later
        del self._optimizers[key]
        self._players.discard(key)
        self._groups.pop(key, None)
        for counts in (self._through, self._own):
            for pair in [each for each in counts if key in each]:
                del counts[pair]
        if not self._optimizers and self._end is not None:
            self._end()
            self._end, self._reached = None, None

    def held(self) -> set[int]:
        return {id(one) for each in self._optimizers.values() for one in parameters_of(each)}

    def _give_up(self, error: BaseException) -> None:
        """Games are found no more; the watches go on."""
        self._looked = LOOKED

    def _backward_begins(self, tensors: Any, *args: Any, **kwargs: Any) -> None:
        if len(self._optimizers) < 2 or self._looked >= LOOKED:
            return
        self._conclude()
        loss = next(iter(tensors_in(tensors)), None)
        if loss is None or loss.grad_fn is None:
            return
        self._looked += 1
        leaves = {id(each) for each in leaves_behind(loss)}
        self._reached = {
            key
            for key, each in self._optimizers.items()
            if any(id(one) in leaves for one in parameters_of(each))
            or not any(one.requires_grad for one in parameters_of(each))
        }

    def stepped(self, optimizer: Optimizer) -> None:
        if self._reached is None or id(optimizer) not in self._reached:
            return
        self._stepped.add(id(optimizer))
        if len(self._stepped) > 1:
            known = [self._groups[key] for key in self._stepped if key in self._groups]
            self._given += not known
            self._groups.update(dict.fromkeys(self._stepped, min(known, default=self._given)))

    def group(self, optimizers: Iterable[Optimizer]) -> int:
        """The number of their group, 0 where they share no loss with others."""
        return max((self._groups.get(id(each), 0) for each in optimizers), default=0)

    def _conclude(self) -> None:
        """The newest loss has been stepped on by all who ever will."""
        reached, self._reached = self._reached, None
        everyone, self._stepped = self._stepped, set()
        if reached is None:
            return
        for stepped in everyone:
            for other in self._optimizers.keys() - everyone:
                (self._through if other in reached else self._own)[stepped, other] += 1

    def plays(self, optimizers: Iterable[Optimizer]) -> bool:
        """Whether any of them is of a player."""
        self._settle()
        return not self._players.isdisjoint(id(each) for each in optimizers)

    def _settle(self) -> None:
        for (player, other), count in self._through.items():
            if count >= TIMES and self._own[other, player] >= TIMES:
                self._players |= {player, other}


class Copies:
    """Networks like the patient, or like a part of it, that no optimizer moves: whether they are
    called at each step."""

    def __init__(self, model: nn.Module, held: set[int], fault: Callable[[Any], None]) -> None:
        self._steps = 0
        self._called: set[int] = set()
        self._hits: Counter[int] = Counter()
        self._ends: list[Callable[[], None]] = []
        self._kept: list[tuple[nn.Module, bool, int]] = []
        self._answer: bool | None = None
        for copy, original in likenesses(model, held):
            pairs = zip(copy.parameters(), original.parameters(), strict=True)
            equal = all(a.device == b.device and torch.equal(a, b) for a, b in pairs)
            self._kept.append((copy, equal, _versions(copy)))
            told = guarded(functools.partial(self._hear, id(copy)), fault)
            self._ends.append(copy.register_forward_hook(Hook(told)).remove)
        if self._kept:
            discreet.begin()
            self._ends.append(discreet.end)

    def _hear(self, key: int, *_: Any) -> None:
        self._called.add(key)

    def stepped(self) -> None:
        if not self._ends:
            return
        self._steps += 1
        self._hits.update(self._called)
        self._called.clear()
        if self._steps >= STEPS and (self.teach or self._steps >= LOOKED):
            self.detach()

    @property
    def teach(self) -> bool:
        """Whether one of them gives the targets."""
        if self._answer is not None:
            return self._answer
        return self._steps >= FEWEST and any(
            self._hits[id(copy)] >= OFTEN * self._steps and (equal or _versions(copy) != version)
            for copy, equal, version in self._kept
        )

    def detach(self) -> None:
        """Nothing is listened to and nothing kept but the answer."""
        self._answer = self.teach
        for end in self._ends:
            end()
        self._ends.clear()
        self._kept.clear()


def likenesses(model: nn.Module, held: set[int]) -> Iterator[tuple[nn.Module, nn.Module]]:
    """The outermost other networks whose class and shapes are those of `model` or of a part of it,
    and no parameter of which is in `held`: with the part each is like."""
    parts: dict[tuple[Any, ...], nn.Module] = {}
    own = {id(each) for each in model.parameters()}
    for each in model.modules():
        if len(list(each.parameters())) > 1:
            parts.setdefault(_likeness(each), each)
    everyone = [each for each in living(nn.Module) if "_parameters" in vars(each)]
    inner = {id(child) for each in everyone for child in vars(each)["_modules"].values()}
    for each in everyone:
        if id(each) in inner or getattr(each, "_compiled_call_impl", None) is not None:
            continue
        parameters = [id(one) for one in each.parameters()]
        if not parameters or any(one in own or one in held for one in parameters):
            continue
        part = parts.get(_likeness(each))
        if part is not None:
            yield each, part


def _likeness(module: nn.Module) -> tuple[Any, ...]:
    known = (each for each in module.parameters() if not is_lazy(each))
    return (type(module), *(tuple(each.shape) for each in known))


def _versions(module: nn.Module) -> int:
    return sum(each._version for each in module.parameters())


def rewarded(sample: Sample) -> bool:
    """Whether the loss weighs log-probabilities by numbers of both signs that have no gradient: a
    policy gradient. Weights of samples and of classes are not negative."""
    calls = sample.objective.calls
    for place, call in enumerate(calls):
        tensors = given(call)
        if call.of_module or word_of(call) not in ("mul", "dot", "matmul") or len(tensors) != 2:
            continue
        graded = [each for each in tensors if each.requires_grad]
        weights = [each for each in tensors if not each.requires_grad and each.numel() > 1]
        if len(graded) != 1 or len(weights) != 1 or not weights[0].is_floating_point():
            continue
        values = weights[0].detach()
        if bool((values < 0).any()) and bool((values > 0).any()) and _of_logs(calls, place, graded):
            return True
    return False


def _of_logs(calls: tuple[Any, ...], place: int, tensors: list[Tensor]) -> bool:
    """Whether a logarithm lies between the model and these tensors."""
    wanted = {id(each) for each in tensors}
    for call in reversed(calls[:place]):
        if any(id(each) in wanted for each in tensors_in(call.result, 3)):
            if call.of_module:
                continue
            if word_of(call) in LOGS:
                return True
            wanted.update(id(each) for each in given(call))
    return False


GAMES = Games()


class Specials:
    """All that is known of this kind about some watches."""

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[Watcher, Copies] = WeakKeyDictionary()
        self._said: WeakKeyDictionary[Watcher, Special] = WeakKeyDictionary()
        self._groups: WeakKeyDictionary[Watcher, int] = WeakKeyDictionary()

    def attend(self, watcher: Watcher) -> None:
        for each in watcher.optimizers:
            GAMES.add(each)

    def introduce(self, watcher: Watcher, sample: Sample | None) -> None:
        """The first batch of a patient is there: what is like it is looked for."""
        if watcher not in self._copies:
            self._copies[watcher] = Copies(watcher.model, GAMES.held(), watcher.failed)
        if sample is not None and rewarded(sample):
            self._said[watcher] = "reinforcement"

    def stepped(self, watcher: Watcher, optimizer: Optimizer) -> None:
        GAMES.stepped(optimizer)
        copies = self._copies.get(watcher)
        if copies is not None:
            copies.stepped()

    def of(self, watcher: Watcher) -> Special:
        said = self._said.get(watcher, "")
        if said != "adversarial" and GAMES.plays(watcher.optimizers):
            said = self._said[watcher] = "adversarial"
        copies = self._copies.get(watcher)
        return said or ("bootstrapped" if copies is not None and copies.teach else "")

    def group(self, watcher: Watcher) -> int:
        """A number that patients have in common who are parts of one training: 0 for one alone."""
        found = GAMES.group(watcher.optimizers)
        if found:
            self._groups[watcher] = found
        return self._groups.get(watcher, 0)

    def leave(self, watcher: Watcher) -> None:
        """The watch is over: what is known stays known."""
        self.of(watcher)
        self.group(watcher)
        for each in watcher.optimizers:
            GAMES.remove(each)
        copies = self._copies.get(watcher)
        if copies is not None:
            copies.detach()
