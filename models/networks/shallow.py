"""A text classifier below the transformer: a table of token vectors, perhaps a convolution, two linear layers.

What is computed for each token is a look-up; added up, normalised and handed to the layers on top, that is a deep
averaging network (Iyyer et al. 2015, P15-1162). A row of the table is scaled by a learned weight for its token.
Order comes in by two ways, each left out where its size is 0: pairs of neighbours look up a vector in a second, hashed
table and are added up beside (Joulin et al. 2016, arXiv:1607.01759), and a convolution reads every window of tokens and
keeps the highest value of each filter (Kim 2014, arXiv:1408.5882).

No mask is read. The row of the padding is zero, a pair of paddings falls on a row of zeros, and the filters have no
bias, so what padding adds is nothing: windows hang over both ends of a text, and behind it all is zero. Artifacts then
have one input, and for batch 1 every node that is not there counts.

A leaf.
"""

from typing import Any

import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from mct.models.families.table import SHALLOW

# Odd numbers far apart: what a token counts in the number of a pair, as its first and as its second.
FIRST, SECOND = 2_654_435_761, 2_246_822_519


class ShallowConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes. `hidden_size` is a token vector's width, `intermediate_size` that of the layer between.

    `bigrams` is the number of rows for pairs of tokens, each `bigram_size` wide; `window` the tokens that each of the
    `filters` reads. 0 leaves either out. `max_position_embeddings` bounds nothing here: the longest text that it was
    meant for.
    """

    model_type = SHALLOW

    def __init__(
        self,
        vocab_size: int = 30_522,
        hidden_size: int = 256,
        intermediate_size: int = 512,
        bigrams: int = 0,
        bigram_size: int = 64,
        window: int = 0,
        filters: int = 0,
        dropout: float = 0.1,
        max_position_embeddings: int = 512,
        pad_token_id: int = 0,
        **more: Any,
    ) -> None:
        self.vocab_size, self.hidden_size, self.intermediate_size = vocab_size, hidden_size, intermediate_size
        self.bigrams, self.bigram_size, self.window, self.filters = bigrams, bigram_size, window, filters
        self.dropout, self.max_position_embeddings = dropout, max_position_embeddings
        super().__init__(**{"pad_token_id": pad_token_id, **more})


class ShallowForSequenceClassification(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Token ids (batch, tokens), padded with the padding's id, to logits (batch, labels)."""

    config_class = ShallowConfig
    codes: torch.Tensor

    def __init__(self, config: ShallowConfig) -> None:
        super().__init__(config)
        sizes = config
        self.words = torch.nn.Embedding(sizes.vocab_size, sizes.hidden_size, padding_idx=sizes.pad_token_id)
        self.weights = torch.nn.Parameter(torch.ones(sizes.vocab_size))
        summed, highest = sizes.hidden_size, sizes.filters if sizes.window else 0
        if sizes.bigrams:
            self.register_buffer("codes", _codes(sizes))
            self.pairs = torch.nn.Embedding(sizes.bigrams, sizes.bigram_size, padding_idx=0)
            summed += sizes.bigram_size
        if highest:
            self.convolution = torch.nn.Linear(sizes.window * sizes.hidden_size, highest, bias=False)
        self.norm = torch.nn.LayerNorm(summed)
        self.dropout = torch.nn.Dropout(sizes.dropout)
        self.dense = torch.nn.Linear(summed + highest, sizes.intermediate_size)
        self.classifier = torch.nn.Linear(sizes.intermediate_size, sizes.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: torch.Tensor, **unread: Any) -> SequenceClassifierOutput:
        """The logits; masks and segments, which other networks read, are taken and left alone."""
        vector = self.dropout(self._pooled(input_ids))
        hidden = self.dropout(functional.relu(self.dense(vector)))
        return SequenceClassifierOutput(logits=self.classifier(hidden))

    def _pooled(self, ids: torch.Tensor) -> torch.Tensor:
        """(batch, sums and highest values)."""
        vectors = self.words(ids) * self.weights[ids].unsqueeze(-1)
        sums = [vectors.sum(1)]
        if self.config.bigrams:
            sums.append(self.pairs(self._pairs_of(ids)).sum(1))
        pooled = self.norm(torch.cat(sums, -1))
        return torch.cat([pooled, self._highest(vectors)], -1) if self.config.window else pooled

    def _pairs_of(self, ids: torch.Tensor) -> torch.Tensor:
        """The row of every pair of neighbours, (batch, tokens + 1); the first and the last stand beside nothing."""
        codes = self.codes[functional.pad(ids, (1, 1), value=self.config.pad_token_id)]
        rows: torch.Tensor = (codes[:, :-1, 0] + codes[:, 1:, 1]) % self.config.bigrams
        return rows

    def _highest(self, vectors: torch.Tensor) -> torch.Tensor:
        """(batch, filters): each filter's highest value over all windows, at least 0."""
        reach = self.config.window - 1
        padded = functional.pad(vectors, (0, 0, reach, reach))
        count = padded.shape[1] - reach
        windows = torch.cat([padded[:, start : start + count] for start in range(self.config.window)], -1)
        return functional.relu(self.convolution(windows).amax(1))

    def get_input_embeddings(self) -> torch.nn.Module:
        """The table of token vectors."""
        return self.words

    def set_input_embeddings(self, value: torch.nn.Module) -> None:
        """Another table in its place."""
        assert isinstance(value, torch.nn.Embedding)
        self.words = value


def _codes(sizes: ShallowConfig) -> torch.Tensor:
    """(vocabulary, 2): what each token counts in the number of a pair. Kept as a table: ids change when pieces go."""
    ids = torch.arange(sizes.vocab_size)
    codes = torch.stack([ids * FIRST % sizes.bigrams, ids * SECOND % sizes.bigrams], -1)
    codes[sizes.pad_token_id] = 0
    return codes


def register() -> None:
    """Let the Auto classes of transformers open such folders as any other."""
    AutoConfig.register(SHALLOW, ShallowConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(ShallowConfig, ShallowForSequenceClassification, exist_ok=True)
