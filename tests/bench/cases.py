"""The cases: what each engine is given, and the least work that it takes.

Owns the seeded inputs, written as JSON: a list of batches, each a list of sequences of token ids.
"""

import json
import random
from dataclasses import dataclass

CLS, SEP = 101, 102
# bert-base-uncased's ids of whole words and pieces: no special token among them.
FIRST_ID, LAST_ID = 1000, 30000
LAYERS, HIDDEN, INTERMEDIATE = 12, 768, 3072
LAYER_WEIGHTS = 4 * HIDDEN * HIDDEN + 2 * HIDDEN * INTERMEDIATE
# What every forward reads: the layers' matrices.
WEIGHT_BYTES = 4 * LAYERS * LAYER_WEIGHTS
RAGGED_TEXTS, PEER_BATCH, OUR_BATCH_TOKENS = 256, 32, 4096


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    # Batches for us and for those who pad.
    ours: list
    peers: list
    # Forwards timed in a round; with more than one the first is a warm-up and not counted.
    repeats: int
    heavy: bool = False

    def flops(self):
        """Multiplications and additions of the real tokens: matrices, scores and contexts."""
        lengths = [len(sequence) for batch in self.ours for sequence in batch]
        attention = 4 * LAYERS * HIDDEN * sum(tokens * tokens for tokens in lengths)
        return 2 * LAYERS * LAYER_WEIGHTS * sum(lengths) + attention


def sequence(generator, tokens):
    """Token ids with `[CLS]` and `[SEP]`."""
    return [CLS, *(generator.randint(FIRST_ID, LAST_ID) for _ in range(tokens - 2)), SEP]


def packed(sequences):
    """Neighbours in batches of a token budget, as the binary packs them."""
    batches, tokens = [[]], 0
    for ids in sequences:
        if tokens + len(ids) > OUR_BATCH_TOKENS:
            batches.append([])
            tokens = 0
        batches[-1].append(ids)
        tokens += len(ids)
    return batches


def by_32(sequences):
    """Neighbours in batches of a number of texts, as Python scripts take them."""
    return [sequences[i : i + PEER_BATCH] for i in range(0, len(sequences), PEER_BATCH)]


def all_cases():
    """Every row, small ones first."""
    generator = random.Random(20261122)
    cases = []
    for batch, seq, repeats in [
        (1, 16, 12),
        (1, 32, 12),
        (1, 128, 4),
        (32, 32, 1),
        (32, 128, 1),
        (8, 512, 1),
    ]:
        batches = [[sequence(generator, seq) for _ in range(batch)]]
        heavy = batch * seq >= 4096
        cases.append(Case(f"{batch}x{seq}", batches, batches, repeats, heavy))
    texts = [sequence(generator, generator.randint(5, 120)) for _ in range(RAGGED_TEXTS)]
    ours = packed(texts)
    cases.append(Case("ragged", ours, by_32(texts), 1, heavy=True))
    by_length = by_32(sorted(texts, key=len))
    cases.append(Case("ragged-sorted", ours, by_length, 1, heavy=True))
    return cases


def agreement_batches():
    """Uneven neighbours, for the comparison of the numbers."""
    generator = random.Random(7)
    lengths = [3, 16, 40, 97, 128]
    return [[sequence(generator, tokens) for tokens in lengths], [sequence(generator, 512)]]


def write(path, batches):
    """`batches` as the workers read them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(batches, separators=(",", ":")))


def texts(vocabulary, count):
    """`count` lines of 5 to 120 tokens each: words that are one token, 3 to 118 of them."""
    words = [word for word in vocabulary.read_text(encoding="utf-8").split() if len(word) > 2]
    words = [word for word in words if word.isascii() and word.isalpha()]
    generator = random.Random(42)
    return [" ".join(generator.choices(words, k=generator.randint(3, 118))) for _ in range(count)]
