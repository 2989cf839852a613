"""Phone errors of one precision of a bundle, by the recogniser of the voice's recipe. Needs torch and the recipe."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.runtime.bundle import MANIFEST, Bundle, Precision

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
        with only(bundle, precision) as path, tempfile.TemporaryDirectory() as output:
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


@contextmanager
def only(bundle: Bundle, precision: Precision) -> Iterator[Path]:
    """A folder beside the bundle with hard links to its files, whose manifest has no other precision."""
    manifest = bundle.manifest.model_copy(update={"graphs": {precision: bundle.manifest.graphs[precision]}})
    with tempfile.TemporaryDirectory(prefix=".only-", dir=bundle.path.parent) as name:
        folder = Path(name)
        for file in manifest.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.link(bundle.path / file, folder / file)
        (folder / MANIFEST).write_text(manifest.model_dump_json(), "utf-8")
        yield folder
