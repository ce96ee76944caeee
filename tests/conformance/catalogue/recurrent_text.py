from functools import partial

import numpy as np

from jdl.models.recurrent.language_model import recurrent_language_model
from jdl.models.recurrent.rnnsearch import rnnsearch
from jdl.models.recurrent.sequence_to_sequence import sequence_to_sequence
from jdl.models.recurrent.text import next_word_network, recurrent_text_classifier
from jdl.nn.gru_cells import GRUCell
from tests.conformance.case import ModelCase

TOKENS = np.array([[1, 2, 3], [4, 2, 1]], np.int32)

MODELS = {
    "jdl.models.recurrent.language_model.recurrent_language_model": ModelCase(
        partial(recurrent_language_model, 5, 4, cell=GRUCell, carried_batch=2), (TOKENS,)
    ),
    "jdl.models.recurrent.rnnsearch.rnnsearch": ModelCase(
        partial(rnnsearch, 5, 5, 3, 4, alignment_dim=3, maxout_dim=4), (TOKENS, TOKENS)
    ),
    "jdl.models.recurrent.sequence_to_sequence.sequence_to_sequence": ModelCase(
        partial(sequence_to_sequence, 5, 5, 3, 4, 1, cell=GRUCell), (TOKENS, TOKENS)
    ),
    "jdl.models.recurrent.text.next_word_network": ModelCase(
        partial(
            next_word_network,
            5,
            3,
            bidirectional_dim=2,
            hidden_dim=3,
            dense_dim=3,
            cell=GRUCell,
        ),
        (TOKENS,),
    ),
    "jdl.models.recurrent.text.recurrent_text_classifier": ModelCase(
        partial(recurrent_text_classifier, 5, 3, 3, 4, 1), (TOKENS,)
    ),
}
