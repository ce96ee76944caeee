"""Recurrent networks."""

from jdl.models.recurrent.rnn import jordan_network as jordan_network
from jdl.models.recurrent.rnn import one_to_many as one_to_many
from jdl.models.recurrent.rnn import recurrent_network as recurrent_network
