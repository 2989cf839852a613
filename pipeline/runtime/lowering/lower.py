"""Rewrites a bundle's graph with the operators of pipeline/native, which compute on this CPU faster than standard ones.

Bundles stay standard ONNX. Only what pipeline.export writes is recognized, node by node; anything else stays as it is.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.runtime.lowering.distance import lower_distance_attention
from pipeline.runtime.lowering.estimator import lower_group_norms, lower_self_attention
from pipeline.runtime.lowering.fusion import fuse
from pipeline.runtime.lowering.graph import DOMAIN, Rewriting
from pipeline.runtime.lowering.linear import lower_linears
from pipeline.runtime.lowering.vocoder import lower_resblocks
from pipeline.runtime.onnx_file import Model, read_model, write_model

DOMAIN_VERSION = 1
STEPS = (lower_linears, lower_distance_attention, lower_self_attention, lower_group_norms, lower_resblocks, fuse)


def lower(source: Path, target: Path) -> bool:
    """Writes the graph with our operators, if it has use for any, and with its weights in a file beside it.

    Raises:
        ValueError: the source is no graph.
    """
    model = read_model(source)
    if not lower_model(model):
        return False
    write_model(model, target)
    return True


def lower_model(model: Model) -> bool:
    """Whether anything has changed."""
    graph = Rewriting(model.graph)
    for step in STEPS:
        step(graph)
    if not any(node.domain == DOMAIN for node in graph.nodes()):
        return False
    graph.sweep()
    model.opsets[DOMAIN] = DOMAIN_VERSION
    return True
