"""Faults of learning the value of actions from a memory, with targets by a second network.

They are listed, and say nothing yet: no rule stands behind them. The rules come, with their proof,
when a network on the rewards of its own actions is trained here.
"""

from __future__ import annotations

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._listed import LATER, nothing
from netwright.records.findings import Finding


@CONDITIONS.register("diverging-q-values", reads=(), when=LATER, group="rate", severity="stop")
def diverging_q_values(record: object) -> tuple[Finding, ...]:
    """The values that are predicted lie far above any return that can be reached.

    Why it hurts: the actions are chosen by errors of the network, and the targets carry these
    errors on.

    Evidence: the mean predicted value against the largest return that rewards and discount
    allow, r / (1 - discount), and against the returns that were really had.

    Would be wrong if: returns of that size occur, in episodes that are longer than those seen
    so far.

    Not to be confused with: values that start too high on purpose, so that everything is tried
    once.

    Treatment: two networks for choice and value, a slower target, clipped rewards, a smaller
    rate; ask.

    Source: van Hasselt et al. 2016, Deep reinforcement learning with double Q-learning.
    """
    return nothing(record)


@CONDITIONS.register("dead-exploration", reads=(), when=LATER, group="data", severity="warn")
def dead_exploration(record: object) -> tuple[Finding, ...]:
    """Nothing new is tried any more, long before the values have settled.

    Why it hurts: what was not tried has a value that was never corrected, and is never chosen.

    Evidence: the share of actions by chance, the entropy of the chosen actions and the number
    of new states per step, against those of the first steps, while the return stands still.

    Would be wrong if: the task is solved: the return is at the best that is known.

    Not to be confused with: a schedule that lowers the chance as planned, with returns that
    still rise.

    Treatment: a slower decay of the chance, an entropy bonus, noise in the parameters; ask.

    Source: Mnih et al. 2015, Human-level control through deep reinforcement learning.
    """
    return nothing(record)


@CONDITIONS.register("replay-starvation", reads=(), when=LATER, group="data", severity="warn")
def replay_starvation(record: object) -> tuple[Finding, ...]:
    """The memory holds too little, or is read too often, for the steps that are taken.

    Why it hurts: the network fits a few transitions by heart, and forgets what it did before.

    Evidence: updates per new transition and the share of the memory that is filled at the first
    update; how often one transition is drawn before it leaves.

    Would be wrong if: the environment is so small that a few transitions are all there are.

    Not to be confused with: a high ratio of updates on purpose, with regularisation made for
    it.

    Treatment: wait until the memory is filled, update less often, a larger memory; ask.

    Source: Lin 1992, Self-improving reactive agents; Fedus et al. 2020, Revisiting fundamentals
    of experience replay.
    """
    return nothing(record)


@CONDITIONS.register("target-never-updated", reads=(), when=LATER, group="wiring", severity="stop")
def target_never_updated(record: object) -> tuple[Finding, ...]:
    """The network that gives the targets never follows the one that learns.

    Why it hurts: the targets stay those of random weights: what is learned is the value of
    nothing.

    Evidence: the weights of the target network, bit for bit the same over more steps than the
    longest plan of updates would allow.

    Would be wrong if: the next update is still to come, or the targets are meant to be fixed (a
    teacher).

    Not to be confused with: slow updates by a moving average, which do move every weight a
    little.

    Treatment: copy the weights at a fixed interval or mix them in at each step; safe with code.

    Source: Mnih et al. 2015, Human-level control through deep reinforcement learning.
    """
    return nothing(record)
