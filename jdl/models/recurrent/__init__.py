"""Recurrent networks."""

from jdl.models.recurrent.language_model import recurrent_language_model as recurrent_language_model
from jdl.models.recurrent.language_model import streams as streams
from jdl.models.recurrent.rnn import jordan_network as jordan_network
from jdl.models.recurrent.rnn import one_to_many as one_to_many
from jdl.models.recurrent.rnn import recurrent_network as recurrent_network
from jdl.models.recurrent.rnnsearch import rnnsearch as rnnsearch
from jdl.models.recurrent.sequence_to_sequence import committee_step as committee_step
from jdl.models.recurrent.sequence_to_sequence import sequence_to_sequence as sequence_to_sequence
from jdl.models.recurrent.text import next_word_network as next_word_network
from jdl.models.recurrent.text import recurrent_text_classifier as recurrent_text_classifier
