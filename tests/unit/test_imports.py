"""Which way imports run (see README): checked on the source, and by loading the service without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAVES = {"pipeline", "pipeline.__version__", "pipeline.types", "pipeline.errors", "pipeline.config"}

# package or module -> what of this project it may import, besides itself and the leaves
ALLOWED = {
    "pipeline.types": set(),
    "pipeline.errors": set(),
    "pipeline.config": set(),
    "pipeline.runtime": set(),
    "pipeline.text": {"pipeline.runtime"},
    "pipeline.acoustic": {"pipeline.runtime"},
    "pipeline.token2wav": {"pipeline.runtime"},
    "pipeline.audio": set(),
    "pipeline.cache": {"pipeline.runtime"},
    "pipeline.synthesizer": set(),
    "pipeline.model": set(),
    "pipeline.export": {
        "pipeline.model",
        "pipeline.runtime",
        "pipeline.text",
        "pipeline.acoustic",
        "pipeline.token2wav",
        "pipeline.audio",
    },
    "deployments.api": {
        "pipeline.synthesizer",
        "pipeline.audio",
        "pipeline.cache",
        "pipeline.text.lexicon_entry",
        "pipeline.text.preview",
    },
}
THIRD_PARTY = {
    "torch": {"pipeline.model", "pipeline.export", "pipeline.training", "pipeline.bench"},
    "onnxruntime": {"pipeline.runtime", "pipeline.export", "pipeline.bench"},
    "ray": {"deployments"},
    "starlette": {"deployments"},
}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {
                f"{node.module}.{alias.name}" for alias in node.names if node.module in {"pipeline", "deployments"}
            }
    return found


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


SOURCES = [file for folder in ("pipeline", "deployments") for file in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("file", SOURCES, ids=module_of)
def test_imports_run_one_way(file: Path) -> None:
    module = module_of(file)
    for package, allowed in ALLOWED.items():
        if not within(module, package):
            continue
        ours = {name for name in imports_of(file) if within(name, "pipeline") or within(name, "deployments")}
        wrong = {
            name
            for name in ours - LEAVES
            if not any(within(name, ok) for ok in allowed | {package, *(LEAVES - {"pipeline"})})
        }
        assert not wrong, f"{module} imports {sorted(wrong)}; {package} may import {sorted(allowed)} and the leaves"


@pytest.mark.parametrize("file", SOURCES, ids=module_of)
def test_heavy_libraries_stay_in_their_packages(file: Path) -> None:
    module = module_of(file)
    for library, packages in THIRD_PARTY.items():
        uses = any(within(name, library) for name in imports_of(file))
        assert not uses or any(within(module, ok) for ok in packages), f"{module} imports {library}"


def test_the_service_loads_without_torch() -> None:
    code = (
        "import sys, deployments.app, pipeline.build; "
        "heavy = {'torch', 'onnx', 'yaml.torch'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
