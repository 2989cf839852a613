"""The language model as it is trained: the official one with factored token tables and a faster forward pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.config import LMConfig, SamplingConfig
from pipeline.model.encoder import Encoder, EncoderLayer, RelativeAttention
from pipeline.model.lm import TransformerLM
from pipeline.training.voice.encoders import conformer
from pipeline.training.voice.lm_batches import Batch
from pipeline.training.voice.tables import FactoredClassifier, FactoredTable, TextTable

SPEAKER_SIZE = 192
NUM_TEXT_TOKENS, NUM_SPEECH_TOKENS = 768, 4096
INPUT_GAIN = 0.1  # of the norm before the factor sqrt(hidden_size), which would drown the layers' share
GUIDED_LAYERS = (1, 2)  # the first head looks at the text of the token before, the second at the text after that
# Fewest wrong phones on held-out sentences: 4 % against 5 % with top_p 0.8, 12 % with the official tau_r of 0.1. No
# utterance of the teacher has a token more than five times within ten, so 0.6 stops loops and nothing else.
SAMPLING = SamplingConfig(top_p=0.6, top_k=25, window=10, tau_r=0.6)
_TABLES = ("text_embedding.weight", "speech_embedding.weight", "llm_decoder.weight", "llm_decoder.bias")
NUM_FIRST_LAYERS = 3  # the layers above them start as if they were not there, and may be left out at first


def lm_config() -> LMConfig:
    """The bundled voice's dimensions."""
    text = conformer(input_size=192, num_layers=3)  # whole: a token's length depends on what follows
    decoder = replace(
        text,
        kind="transformer",
        input_size=256,
        hidden_size=256,
        ff_size=1024,
        num_layers=5,
        input_layer="linear_legacy",
        activation="relu",
        static_chunk_size=1,
    )
    return LMConfig(
        num_text_tokens=NUM_TEXT_TOKENS,
        num_speech_tokens=NUM_SPEECH_TOKENS,
        text_embedding_size=text.input_size,
        input_size=decoder.input_size,
        output_size=decoder.hidden_size,
        speaker_size=SPEAKER_SIZE,
        text_encoder=text,
        decoder=decoder,
        sampling=SAMPLING,
        label_smoothing=0.0,
        length_normalized_loss=True,
    )


class VoiceLM(nn.Module):
    """The official model with factored token tables in place of its own, and a fast forward pass for training.

    Args:
        symbols: the text tokens that occur, the first rows of the text table.
        factors: i64 [V, 3], the phone, pitch level and position of each speech token.
        speakers: f32 [speakers, speaker_size].
    """

    def __init__(self, config: LMConfig, symbols: Sequence[str], factors: Tensor, speakers: Tensor) -> None:
        super().__init__()
        self.config = config
        self.lm = TransformerLM(replace(config, num_speech_tokens=1))  # its own tables stay unused
        for unused in (self.lm.text_embedding, self.lm.speech_embedding, self.lm.llm_decoder):
            unused.requires_grad_(False)
        self.text = TextTable(symbols, config.num_text_tokens, config.text_embedding_size, 0.5)
        self.inputs = FactoredTable(factors, config.input_size, 0.5)
        self.outputs = FactoredClassifier(factors, config.output_size)
        nn.init.normal_(self.lm.llm_embedding.weight, std=0.5)
        for layer in self.lm.llm.encoders[NUM_FIRST_LAYERS:]:  # nothing changes when such a layer joins
            for name in ("self_attn.linear_out", "feed_forward.w_2"):
                nn.init.zeros_(layer.get_parameter(f"{name}.weight"))
                nn.init.zeros_(layer.get_parameter(f"{name}.bias"))
        for encoder in (self.lm.text_encoder, self.lm.llm):
            nn.init.constant_(encoder.embed.out.get_parameter("1.weight"), INPUT_GAIN)
        self.register_buffer("speakers", F.normalize(speakers, dim=1), persistent=False)
        self.speakers: Tensor

    def forward(self, batch: Batch, speech: Tensor, num_layers: int | None = None) -> tuple[Tensor, list[Tensor]]:
        """Log likelihoods f32 [n] of `batch.target` behind `speech` (i64 [tokens]), attention of the guided layers."""
        hidden, weights = self.decode(self.assemble(batch, speech), batch.predicting, num_layers)
        return self.outputs(hidden, batch.target), weights

    def assemble(self, batch: Batch, speech: Tensor) -> Tensor:
        """Rows [sos, speaker, text, task, speech], f32 [B, T, input_size]; right of its own a row repeats the first."""
        text = F.embedding(batch.text, self.text.weight())
        text = self.lm.text_encoder_affine_layer(self.lm.text_encoder(text, batch.text_length))
        speaker = self.lm.spk_embed_affine_layer(self.speakers[batch.speaker])
        parts = torch.cat([self.lm.llm_embedding.weight, speaker, text.flatten(0, 1), self.inputs(speech)])
        return F.embedding(batch.source, parts)

    def decode(self, x: Tensor, predicting: Tensor, num_layers: int | None = None) -> tuple[Tensor, list[Tensor]]:
        """f32 [B, T, input_size], i64 [n] into [B * T] -> f32 [n, output_size]; attention of the guided layers, each
        f32 [H, B, T, T].

        The same as the model's own forward pass, if all layers take part; the last spares itself positions that
        predict nothing. Padding needs no mask: it stands to the right, where nobody looks.
        """
        llm: Encoder = self.lm.llm
        length = x.shape[1]
        x = llm.embed.out(x) * llm.embed.pos_enc.scale
        distances = llm.embed.pos_enc.distances(length + 1, x)[: length + 1]
        mask = torch.full((length, length), -torch.inf).triu(1)
        layers = llm.encoders[:num_layers]
        guided: list[Tensor] = []
        for index, layer in enumerate(layers):
            assert isinstance(layer, EncoderLayer)
            attention_norm, ff_norm = (layer.get_submodule(name) for name in layer.norm_names)
            y, weights = causal_attention(layer.self_attn, attention_norm(x), distances, mask)
            x = x + y
            if index == len(layers) - 1:
                x = x.flatten(0, 1)[predicting]
            x = x + layer.feed_forward(ff_norm(x))
            if index in GUIDED_LAYERS:
                guided.append(weights)
        return llm.after_norm(x), guided

    def checkpoint(self) -> dict[str, Tensor]:
        """What llm.pt holds: the state under the official names, with plain tables."""
        state = {name: value.detach().clone() for name, value in self.lm.state_dict().items()}
        state["text_embedding.weight"] = self.text.weight().detach()
        state["speech_embedding.weight"] = self.inputs.weight().detach()
        state["llm_decoder.weight"] = self.outputs.weight().detach()
        state["llm_decoder.bias"] = self.outputs.bias().detach()
        return state

    def assign(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what llm.pt holds."""
        own = self.lm.state_dict()
        self.lm.load_state_dict({name: own[name] if name in _TABLES else state[name] for name in own})
        self.text.assign(state["text_embedding.weight"])
        self.inputs.assign(state["speech_embedding.weight"])
        self.outputs.assign(state["llm_decoder.weight"], state["llm_decoder.bias"])


def causal_attention(attention: RelativeAttention, x: Tensor, distances: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """`RelativeAttention` without cache and future: half the distances, and no copy but the one that shifts them.

    x f32 [B, T, D], distances f32 [T + 1, D] of T ... 0, mask f32 [T, T] -> f32 [B, T, D], weights f32 [H, B, T, T].
    Scores of T + 1 distances per row, read T elements later in rows of T, put each distance under its key:
    `shift_distances` with the padding column already there.
    """
    num_heads, size = attention.num_heads, attention.head_dim
    num_rows, length, _ = x.shape

    def by_head(rows: Tensor) -> Tensor:  # [..., D] -> [H, ..., size]
        return rows.view(*rows.shape[:-1], num_heads, size).movedim(-2, 0)

    q, k, v = (by_head(linear(x)) for linear in (attention.linear_q, attention.linear_k, attention.linear_v))
    p = by_head(attention.linear_pos(distances))
    content_q = (q + attention.pos_bias_u[:, None, None]).flatten(0, 1)
    position_q = (q + attention.pos_bias_v[:, None, None]).flatten(1, 2)
    position = torch.bmm(position_q, p.transpose(1, 2)).view(num_heads * num_rows, length * (length + 1))
    shifted = position[:, length:].view(num_heads * num_rows, length, length)
    scale = 1 / math.sqrt(size)
    scores = torch.baddbmm(shifted, content_q, k.flatten(0, 1).transpose(1, 2), beta=scale, alpha=scale)
    weights = scores.add_(mask).softmax(dim=-1)
    context = torch.bmm(weights, v.flatten(0, 1)).view(num_heads, num_rows, length, size)
    y: Tensor = attention.linear_out(context.movedim(0, -2).flatten(-2))
    return y, weights.view(num_heads, num_rows, length, length)
