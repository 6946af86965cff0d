"""The range test of a recipe: its own training with the rate raised, keyed and without a trace."""

from __future__ import annotations

import pytest
import torch

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.core.languages import say
from netwright.tasks.recipe_range import range_of_recipe
from netwright.tasks.settings import resolve
from netwright.train.task import NonFiniteError

SHORT = {"first": 1e-4, "last": 1.0, "steps": 24}


def recipe(**settings):
    base = {"model": "mlp", "model__hidden": [16], "aug__shift": 1}
    return resolve(data="digits", settings=base | settings, environ={})


@pytest.fixture(autouse=True)
def _empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


def test_the_digits_get_a_rate_that_adamw_learns_with():
    found = range_of_recipe(resolve(data="digits", model="mlp", environ={}))
    assert found.suggestion is not None, found.why
    assert 3e-4 < found.suggestion < 3e-2
    assert found.optimizer == "adamw"


def test_the_same_seed_says_the_same_and_another_something_else():
    torch.rand(3)
    first = range_of_recipe(recipe(), **SHORT)
    torch.rand(5)
    assert range_of_recipe(recipe(), **SHORT).losses == first.losses
    assert range_of_recipe(recipe(seed=1), **SHORT).losses != first.losses


@pytest.mark.parametrize(
    "without_effect",
    [{"optim__lr": 0.5}, {"epochs": 1}, {"steps": 3}, {"sched": "step"}, {"sched__warmup": 2.0}],
    ids=str,
)
def test_rate_schedule_and_length_of_the_recipe_count_for_nothing(without_effect):
    base = {"sched": "cosine"}
    plain = range_of_recipe(recipe(**base), **SHORT)
    assert range_of_recipe(recipe(**base | without_effect), **SHORT).losses == plain.losses


def test_the_steps_are_those_of_the_training_with_its_augmentation():
    seen = []
    range_of_recipe(recipe(batch=32), listeners=[seen.append], **SHORT)
    steps = [each for each in seen if isinstance(each, e.StepEnded)]
    assert [each.step for each in steps] == list(range(1, 25))
    assert all(each.batch.images.shape[0] == 32 for each in steps)
    assert len({tuple(each.batch.index) for each in steps}) == 24
    plain = []
    range_of_recipe(recipe(batch=32, aug__shift=0), listeners=[plain.append], **SHORT)
    (shifted,) = [each.batch.images for each in steps[:1]]
    still = next(each.batch.images for each in plain if isinstance(each, e.StepEnded))
    assert not torch.equal(shifted, still)


def test_a_step_that_is_not_finite_ends_the_curve(monkeypatch):
    from netwright.tasks.classification import Classification

    step = Classification.step

    def fails(task, batch, number):
        if number == 22:
            raise NonFiniteError("the norm of the gradients", float("inf"))
        return step(task, batch, number)

    monkeypatch.setattr(Classification, "step", fails)
    found = range_of_recipe(recipe(), **SHORT)
    assert (len(found.losses), found.losses[-1]) == (23, float("inf"))


def test_an_optimizer_that_searches_its_own_step_is_refused():
    with pytest.raises(SettingError, match="optim=lbfgs computes the loss several times"):
        range_of_recipe(recipe(optim="lbfgs"))


def test_the_plan_tells_of_the_passes_of_a_step():
    heard = []
    settings = {"optim__accumulate": 4, "batch": 16}
    resolved = resolve(data="digits", model="mlp", settings=settings, environ={})
    range_of_recipe(resolved, steps=20, listeners=[heard.append])
    (plan,) = [n for n in heard if isinstance(n, e.Noted) and n.word == "plan"]
    assert "steps of batch 16 x 4, " in say(plan.template, **plan.values)
