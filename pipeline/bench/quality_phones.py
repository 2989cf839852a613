"""Phone errors of one precision of a bundle, by the recogniser of the voice's recipe. Needs torch and the recipe."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.bench.workload import relinked
from pipeline.runtime.bundle import Bundle, Manifest, Precision

Progress = Callable[[str], None]


def phone_errors_by(folder: Path, num_per_language: int, progress: Progress) -> Callable[[Bundle, Precision], float]:
    """A judge of bundles.

    Args:
        folder: of `cosyvoice-serve train`, with its held-out sentences and its recogniser.
        num_per_language: sentences of each.
    """
    from pipeline.training.voice.evaluate import evaluate
    from pipeline.training.voice.recipe import Recipe

    recipe = Recipe(folder)

    def phone_errors(bundle: Bundle, precision: Precision) -> float:
        with relinked(bundle, only(bundle, precision)) as path, tempfile.TemporaryDirectory() as output:
            evaluation = evaluate(
                str(path),
                recipe.data,
                recipe.checkpoint("recognizer"),
                Path(output),
                num_per_language=num_per_language,
                num_orders=0,
                progress=progress,
            )
        return float(evaluation.languages["all"]["phone_errors"] or 0.0)

    return phone_errors


def only(bundle: Bundle, precision: Precision) -> Manifest:
    """The bundle's manifest without its other precisions."""
    return bundle.manifest.model_copy(update={"graphs": {precision: bundle.manifest.graphs[precision]}})
