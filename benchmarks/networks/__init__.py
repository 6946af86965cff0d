"""The networks that inspectors are tried on: plain torch, each with its multiply-adds by hand."""

from __future__ import annotations

import importlib

from networks.kit import NETWORKS, Network

for _part in ("classics", "convolutions", "attention", "recurrent", "odd"):
    importlib.import_module(f"networks.{_part}")

__all__ = ["NETWORKS", "Network"]
