"""`cosyvoice-serve parity`: a checkpoint, computed by torch and by its graphs, against a file of golden arrays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.export.onnx_engine import OnnxEngine
from pipeline.export.parity import Engine, compare, read_golden
from pipeline.export.report import ParityReport
from pipeline.export.torch_engine import TorchEngine
from pipeline.runtime.bundle import Bundle


def compare_with_golden(checkpoint_dir: Path, golden: Path, *, progress: Callable[[str], None] = print) -> ParityReport:
    """Every array that the file holds, by both engines, in fp32. Raises BundleError for unusable files."""
    cases = read_golden(golden)
    checkpoint = load_checkpoint(checkpoint_dir)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_graphs(checkpoint, Path(folder), ["fp32"], checkpoint_dir.name, progress)
        engines: list[Engine] = [TorchEngine(checkpoint), OnnxEngine(Bundle(Path(folder), manifest), "fp32")]
        return compare(engines, cases, f"{checkpoint_dir} against {golden}")
