"""Data sets, splits and batches."""

from jdl.data.batches import minibatches as minibatches
from jdl.data.batches import size_of as size_of
