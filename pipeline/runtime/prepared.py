"""What a start needs of a bundle, as files that it only maps: graphs as this CPU computes them, and arrays they make.

Rewriting a graph and packing its weights for the CPU takes most of a first start; later ones find it done. Processes
that map the same files share their memory.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort

from pipeline.runtime import native
from pipeline.runtime.bundle import Bundle, GraphName, Precision, sha256_of
from pipeline.runtime.file_store import open_entry
from pipeline.runtime.lowering.lower import lower
from pipeline.runtime.onnx_file import mapped_weights, weights_of
from pipeline.runtime.session import Array, Session, make_session, optimize

FORMAT_VERSION = 2  # also of what lowering writes
FOLDER = "prepared"  # in a bundle's folder
USER_FOLDER = "~/.cache/cosyvoice-serve/prepared"
_CPU_FIELDS = ("model name", "flags", "CPU implementer", "CPU part", "Features")  # of /proc/cpuinfo


def usual_places(bundle: Path) -> tuple[Path, ...]:
    """Beside the graphs, where every user finds it, or where that cannot be written, with the user's other caches."""
    user = os.path.expanduser(USER_FOLDER)
    return (bundle / FOLDER,) if user.startswith("~") else (bundle / FOLDER, Path(user))


def open_session(bundle: Bundle, name: GraphName, precision: Precision, *, num_threads: int) -> Session:
    """A session of one of the bundle's graphs.

    Raises:
        BundleError: the graph is missing or is none that this ONNX Runtime computes.
    """
    return open_sessions(bundle, name, precision, [num_threads])[0]


def open_sessions(bundle: Bundle, name: GraphName, precision: Precision, thread_counts: Sequence[int]) -> list[Session]:
    """A session for each number of threads. They map weights together, as far as these are prepared."""
    source = bundle.graph(name, precision)
    optimized = f"{source.stem}.optimized"
    sessions = open_entry(
        _places(bundle),
        _entry_name(bundle, source.name),
        lambda folder: _write_graph(bundle, source, folder / optimized),
        lambda folder: _open_prepared(folder / optimized, thread_counts),
    )
    return _open_unprepared(bundle, source, thread_counts) if sessions is None else sessions


def _open_prepared(graph: Path, thread_counts: Sequence[int]) -> list[Session]:
    weights = mapped_weights(graph) if len(thread_counts) > 1 else None
    return [
        make_session(graph, num_threads=num_threads, is_optimized=True, weights=weights)
        for num_threads in thread_counts
    ]


def _open_unprepared(bundle: Bundle, source: Path, thread_counts: Sequence[int]) -> list[Session]:
    """They compute what prepared graphs do, to the bit, but each reads the weights into memory of its own."""
    with TemporaryDirectory() as name:
        lowered = Path(name) / f"{source.stem}.lowered"
        is_lowered = source.is_file() and _lower(bundle, source, lowered)
        return [make_session(lowered if is_lowered else source, num_threads=count) for count in thread_counts]


def _lower(bundle: Bundle, source: Path, target: Path) -> bool:
    """Whether there is something of it for our operators to compute, which is then written."""
    if native.library() is None or not bundle.is_lowered:
        return False
    try:
        return lower(source, target)
    except ValueError:  # no graph, which ONNX Runtime says better
        return False


def _write_graph(bundle: Bundle, source: Path, target: Path) -> None:
    """With our own operators where this machine has them; ONNX Runtime optimizes the rest."""
    lowered = target.with_name(f"{source.stem}.lowered")
    if not _lower(bundle, source, lowered):
        optimize(source, target)
        return
    optimize(lowered, target)
    for file in (lowered, weights_of(lowered)):
        file.unlink()


def open_arrays(
    bundle: Bundle, source: Path, variant: str, compute: Callable[[], Mapping[str, Array]]
) -> Mapping[str, Array] | None:
    """Arrays that follow from a graph, by name; not to be written to. None where nothing is prepared.

    Args:
        variant: tells apart what follows from the same graph, as a part of a file name.
    """

    def write(folder: Path) -> None:
        for name, array in compute().items():
            np.save(folder / f"{name}.npy", array)

    return open_entry(_places(bundle), f"{_entry_name(bundle, source.name)}-{variant}", write, _map_arrays)


def _map_arrays(folder: Path) -> dict[str, Array]:
    return {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}


def _places(bundle: Bundle) -> list[Path]:
    """The folders of this machine's kind. None for a bundle whose manifest does not know its files."""
    return [place / machine_kind() for place in bundle.prepared_in if bundle.manifest.files]


def _entry_name(bundle: Bundle, graph: str) -> str:
    """Names the graph and its contents, weights in a file beside it included."""
    files = bundle.manifest.files
    digests = [files[name].sha256 for name in (graph, f"{graph}.data") if name in files]
    form = "" if bundle.is_lowered else "-standard"
    return f"{graph.removesuffix('.onnx')}-{_digest(*digests)}{form}"


@cache
def machine_kind() -> str:
    """Names what the form of a prepared graph depends on: ONNX Runtime's build, our library's, and the CPU."""
    library = native.library()
    own_build = "" if library is None else sha256_of(library)
    parts = str(FORMAT_VERSION), ort.get_build_info(), own_build, platform.machine(), _cpu_type()
    return f"onnxruntime-{ort.__version__}-{platform.machine()}-{_digest(*parts)}"


def _cpu_type() -> str:
    """Model and instruction sets of the first CPU."""
    try:
        first = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
    except OSError:
        return platform.processor()
    return "\n".join(line for line in first.splitlines() if line.split(":")[0].strip() in _CPU_FIELDS)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
