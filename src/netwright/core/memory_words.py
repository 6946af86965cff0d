"""The words in which libraries say that memory ran out, where they have no exception for it."""

from __future__ import annotations

_PARTS = ("can't allocate memory", "cannot allocate memory", "out of memory", "not enough memory")
# oneDNN, which convolutions on a CPU go through, has no words for memory. What it cannot compute it
# refuses before, as a descriptor of a primitive; a primitive or a memory that it cannot create
# after that has found no room.
_WHOLE = ("could not create a primitive", "could not create a memory object")


def says_memory_ran_out(message: str) -> bool:
    """Whether the message of an error says so.

    >>> says_memory_ran_out("DefaultCPUAllocator: can't allocate memory: you tried ...")
    True
    >>> says_memory_ran_out("could not create a primitive")
    True
    >>> says_memory_ran_out("could not create a primitive descriptor for a softmax")
    False
    """
    message = message.strip().lower()
    return message in _WHOLE or any(words in message for words in _PARTS)
