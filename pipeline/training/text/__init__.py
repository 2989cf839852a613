"""The recipe of the pronunciation tables and of the polyphone and pause model.

The model in the package was trained on the CPP dev sentences (Apache-2.0) and 1.9 million characters of plain text:
Common Voice's Chinese sentences (CC0), the dialogues of CrossWOZ (validation and test) and of KdConv (dev and test)
and the prose of d2l-zh (all three Apache-2.0). The first stage was stopped after the second of its three epochs:

    python -m pipeline.training.text train ... --epochs 3 0
    python -m pipeline.training.text train ... --initial polyphone.first.pt --held-out 0 --epochs 0 2
"""
