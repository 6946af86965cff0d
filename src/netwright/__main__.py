"""`python -m netwright ...` is `netwright ...`, also under torchrun."""

from __future__ import annotations

import os
import sys

try:
    from netwright.core.linux import die_with_parent

    if __name__ == "__main__" and "NETWRIGHT_LAUNCHER" in os.environ:
        die_with_parent(int(os.environ["NETWRIGHT_LAUNCHER"]))  # it may be killed while we import
    from netwright.cli import main
except KeyboardInterrupt:  # nothing is there yet that could tell of it
    raise SystemExit(130) from None

if __name__ == "__main__":
    sys.exit(main())
