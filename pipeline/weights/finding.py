"""The folder of an engine's model, wherever its profile says that it comes from."""

from __future__ import annotations

from pathlib import Path

from pipeline.profiles.engines import ModelSource
from pipeline.weights import hub
from pipeline.weights.store import WeightsError, WeightStore


def find(source: ModelSource, store: WeightStore) -> Path:
    """Pulls what is missing, which can take minutes.

    Raises:
        WeightsError: it cannot be had.
    """
    if source.is_folder:
        folder = Path(source.model)
        if not folder.is_dir():
            raise WeightsError(f"{source.model} is no folder; correct the model in the profile")
        return folder
    return hub.fetch(source) if source.on_hub else store.path(source.model)
