"""`python -m netwright ...` is `netwright ...`, also under torchrun."""

from __future__ import annotations

import os
import signal
import sys

from netwright.core.linux import die_with_parent

if __name__ == "__main__":
    if "NETWRIGHT_LAUNCHER" in os.environ:  # at once: the launcher may be killed while we import
        die_with_parent(int(os.environ["NETWRIGHT_LAUNCHER"]))
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of half an import
    from netwright.cli import main

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
