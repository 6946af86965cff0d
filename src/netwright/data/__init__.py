"""Data: where images come from, how they are split, prepared and fed, whatever their layout.

`opening` turns a name or a path into a `Dataset`, `feed` turns a split of it into batches.
"""
