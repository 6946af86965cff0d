"""Export: a trained network becomes a file that other programs run, its preprocessing inside.

The files are leaves of `netwright.export.formats`. What a file computes is held against the
network itself on real images (`netwright.export.parity`) before it is put in its place
(`netwright.export.places`). Runs and data are joined to this in `netwright.tasks.exporting`.
"""
