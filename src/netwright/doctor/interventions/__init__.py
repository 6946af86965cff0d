"""Treating a training that is under way: which findings can be, where to go back to, what to try.

Nothing here runs a loop. `nw.watch(..., on_stop="repair")` acts on somebody else's by what stands
here, and the trainer on its own.
"""
