"""The encoder that the bundled voice's language model and flow have in common."""

from __future__ import annotations

from pipeline.model.config import EncoderConfig


def conformer(input_size: int, num_layers: int) -> EncoderConfig:
    """192 wide; every position attends to all others. So small a model needs no dropout."""
    return EncoderConfig(
        kind="conformer",
        input_size=input_size,
        hidden_size=192,
        num_heads=4,
        ff_size=768,
        num_layers=num_layers,
        input_layer="linear",
        activation="swish",
        normalize_before=True,
        static_chunk_size=0,
        has_key_bias=True,
        dropout=0.0,
        positional_dropout=0.0,
        attention_dropout=0.0,
    )
