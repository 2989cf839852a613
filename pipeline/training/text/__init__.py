"""The recipe of the pronunciation tables and of the polyphone and pause model.

The model in the package was trained on the CPP dev sentences (Apache-2.0) and 2.7 million characters of plain text
(Common Voice's sentences, CrossWOZ, KdConv, d2l-zh, a part of the Chinese Union Version), in two runs close to these:

    python -m pipeline.training.text train ... --epochs 3 2
    python -m pipeline.training.text train ... --initial polyphone.pt --final --epochs 0 3
"""
