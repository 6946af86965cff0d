"""Faults of training in several processes.

They are listed, and say nothing yet: no rule stands behind them. The rules come, with their proof,
when one network in several processes is trained here.
"""

from __future__ import annotations

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._listed import LATER, nothing
from netwright.records.findings import Finding


@CONDITIONS.register("rank-desync", reads=(), when=LATER, group="wiring", severity="stop")
def rank_desync(record: object) -> tuple[Finding, ...]:
    """The processes hold different weights.

    Why it hurts: each trains a network of its own on a part of the data, and one of them is
    saved.

    Evidence: a checksum of parameters and buffers by process at the same step.

    Would be wrong if: they are different on purpose, as experts or shards are.

    Not to be confused with: buffers of norms without synchronisation, which differ by design.

    Treatment: make the same start and the same order of calls on every process; broadcast the
    weights; code.

    Source: PyTorch documentation, DistributedDataParallel.
    """
    return nothing(record)


@CONDITIONS.register("unequal-data", reads=(), when=LATER, group="data", severity="warn")
def unequal_data(record: object) -> tuple[Finding, ...]:
    """The processes are fed unequal amounts of data.

    Why it hurts: the quickest waits for the others at every step, and the last batches hang or
    are averaged wrongly.

    Evidence: the number of batches and of samples by process and epoch; fingerprints of samples
    that two processes were both fed.

    Would be wrong if: a join of uneven inputs is in place.

    Not to be confused with: the one sample by which the parts differ when the set does not
    divide.

    Treatment: a distributed sampler with its epoch set, uneven inputs joined; safe with code.

    Source: PyTorch documentation, DistributedSampler and the Join context.
    """
    return nothing(record)
