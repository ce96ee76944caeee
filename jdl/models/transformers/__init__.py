"""Transformers."""

from jdl.models.transformers.attention_language_model import (
    attention_language_model as attention_language_model,
)
from jdl.models.transformers.bert import bert as bert
from jdl.models.transformers.encoder_decoder import encoder_decoder as encoder_decoder
from jdl.models.transformers.encoder_decoder import translation as translation
from jdl.models.transformers.gpt2 import gpt2 as gpt2
from jdl.models.transformers.gpt2 import next_token as next_token
from jdl.models.transformers.gpt3 import gpt3 as gpt3
from jdl.models.transformers.hybrid_vit import HYBRID_VITS as HYBRID_VITS
from jdl.models.transformers.hybrid_vit import hybrid_vit as hybrid_vit
from jdl.models.transformers.lamda import lamda as lamda
from jdl.models.transformers.language_model import language_model as language_model
from jdl.models.transformers.masked_language_model import (
    masked_language_modelling as masked_language_modelling,
)
from jdl.models.transformers.masked_language_model import masked_tokens as masked_tokens
from jdl.models.transformers.masked_language_model import sentence_pairs as sentence_pairs
from jdl.models.transformers.sentence_bert import Texts as Texts
from jdl.models.transformers.sentence_bert import pair_classification as pair_classification
from jdl.models.transformers.sentence_bert import pair_regression as pair_regression
from jdl.models.transformers.sentence_bert import sentence_encoder as sentence_encoder
from jdl.models.transformers.sentence_bert import triplets as triplets
from jdl.models.transformers.t5 import t5 as t5
from jdl.models.transformers.time_series import time_series_transformer as time_series_transformer
from jdl.models.transformers.vit import VITS as VITS
from jdl.models.transformers.vit import at_resolution as at_resolution
from jdl.models.transformers.vit import vit as vit
from jdl.models.transformers.xlnet import XLNetMemory as XLNetMemory
from jdl.models.transformers.xlnet import (
    permutation_language_modelling as permutation_language_modelling,
)
from jdl.models.transformers.xlnet import xlnet as xlnet
