"""`python -m netwright ...` is `netwright ...`, also under torchrun."""

from __future__ import annotations

import os
import sys

try:
    from netwright.cli import main
    from netwright.core.linux import die_with_parent
except KeyboardInterrupt:  # nothing is there yet that could tell of it
    raise SystemExit(130) from None

if __name__ == "__main__":
    if "NETWRIGHT_LAUNCHER" in os.environ:  # at once: the launcher may be killed while we import
        die_with_parent(int(os.environ["NETWRIGHT_LAUNCHER"]))
    sys.exit(main())
