"""The weights of the embedded models: which files, from where, and the store that lets none pass unverified."""

from __future__ import annotations

from pipeline.weights.catalogue import CATALOGUE, Model, WeightFile
from pipeline.weights.store import WeightsError, WeightStore

__all__ = ["CATALOGUE", "Model", "WeightFile", "WeightStore", "WeightsError"]
