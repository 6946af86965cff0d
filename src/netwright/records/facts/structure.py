"""What the network is: its inspection, as a fact among the others."""

from __future__ import annotations

from netwright.records.facts import fact
from netwright.records.inspection import InspectionRecord

fact("inspection")(InspectionRecord)
