"""Transformers."""

from jdl.models.transformers.gpt2 import gpt2 as gpt2
from jdl.models.transformers.gpt2 import next_token as next_token
