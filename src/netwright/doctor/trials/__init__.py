"""Trials: a short training of a copy, to see by numbers whether a change helps.

A `Course` is a training that can be begun anew, a `Trial` is one that runs, a race holds several
of them against the untreated one on the same batches and seeds. The loop here is the doctor's own:
it has no faults of anybody's loop, and needs nothing of `train`.
"""
