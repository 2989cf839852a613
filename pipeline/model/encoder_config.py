"""Settings of a self-attention encoder, as cosyvoice.yaml gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.model.plain_yaml import Section


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """A stack of self-attention layers with relative positions (Transformer-XL, arXiv 1901.02860)."""

    kind: Literal["conformer", "transformer"]  # names the layer norms; conformers here have no convolution, no macaron
    input_size: int
    hidden_size: int
    num_heads: int
    ff_size: int
    num_layers: int
    input_layer: Literal["linear", "linear_legacy"]  # the legacy one ends in a ReLU
    activation: Literal["relu", "swish", "gelu"]
    normalize_before: bool
    static_chunk_size: int  # 0: every position sees all; n: positions see up to the end of their chunk of n
    has_key_bias: bool
    dropout: float
    positional_dropout: float
    attention_dropout: float

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads


# what the official classes take when the file leaves a key out
ENCODERS: dict[str, dict[str, Any]] = {
    "ConformerEncoder": {
        "kind": "conformer",
        "pos_enc_layer_type": "rel_pos",
        "selfattention_layer_type": "rel_selfattn",
        "activation_type": "swish",
        "macaron_style": True,
        "use_cnn_module": True,
    },
    "TransformerEncoder": {
        "kind": "transformer",
        "pos_enc_layer_type": "abs_pos",
        "selfattention_layer_type": "selfattn",
        "activation_type": "relu",
        "macaron_style": False,
        "use_cnn_module": False,
    },
}


def read_encoder(section: Section) -> EncoderConfig:
    defaults = ENCODERS[section.class_name]
    section.choice("pos_enc_layer_type", ("rel_pos_espnet",), defaults["pos_enc_layer_type"])
    section.choice("selfattention_layer_type", ("rel_selfattn",), defaults["selfattention_layer_type"])
    for switch in ("macaron_style", "use_cnn_module"):
        section.choice(switch, (False,), defaults[switch])
    section.choice("use_dynamic_chunk", (False,), False)
    section.choice("global_cmvn", (None,), None)
    encoder = EncoderConfig(
        kind=defaults["kind"],
        input_size=section.integer("input_size"),
        hidden_size=section.integer("output_size", 256, minimum=2),
        num_heads=section.integer("attention_heads", 4),
        ff_size=section.integer("linear_units", 2048),
        num_layers=section.integer("num_blocks", 6),
        input_layer=section.choice("input_layer", ("linear", "linear_legacy"), "conv2d"),
        activation=section.choice("activation_type", ("relu", "swish", "gelu"), defaults["activation_type"]),
        normalize_before=section.flag("normalize_before", True),
        static_chunk_size=section.integer("static_chunk_size", 0, minimum=0),
        has_key_bias=section.flag("key_bias", True),
        dropout=section.number("dropout_rate", 0.1, maximum=1.0),
        positional_dropout=section.number("positional_dropout_rate", 0.1, maximum=1.0),
        attention_dropout=section.number("attention_dropout_rate", 0.0, maximum=1.0),
    )
    if encoder.hidden_size % encoder.num_heads or encoder.hidden_size % 2:
        raise section.error(
            "output_size", f"{encoder.hidden_size} is odd or not divisible by {encoder.num_heads} attention_heads"
        )
    return encoder
