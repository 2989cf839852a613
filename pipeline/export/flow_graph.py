"""The graphs of the flow, from flow.pt's arrays by their official names."""

from __future__ import annotations

from onnx import ModelProto

from pipeline.export.channel_last import State
from pipeline.export.flow_encoder_graph import build_flow_encoder
from pipeline.export.flow_estimator_graph import build_flow_estimator
from pipeline.model.config import FlowConfig
from pipeline.runtime.bundle import GraphName, Precision


def build_flow_graphs(state: State, config: FlowConfig, precision: Precision = "fp32") -> dict[GraphName, ModelProto]:
    """Graphs by name; inputs and outputs are described at the two builders."""
    return {
        "flow_encoder": build_flow_encoder(state, config, precision),
        "flow_estimator": build_flow_estimator(state, config.estimator, precision),
    }
