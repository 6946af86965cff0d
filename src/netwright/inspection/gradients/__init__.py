"""Backprop beside numeric derivatives: `nw.check_gradients`.

`slopes` is the mathematics of one number along one line; `rehearsal` makes of a network a function
that gives the same number each time; `examination` chooses directions and judges; `blame` finds
the layer; `checking` is the door.
"""
