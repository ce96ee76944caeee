"""Other libraries' checkpoints into our params, and back.

    load            a published network by its name: model, variables, preprocessing, labels
    load_sentence_encoder  a folder of sentence-transformers
    load_variables  a file into a model of any configuration
    export          our arrays by the other library's names
    preprocess      an image as a checkpoint wants it

The key maps of the architectures are in `maps`, the published names in `checkpoints`.
"""

from jdl.models.pretrained.checkpoints import PRETRAINED, Checkpoint
from jdl.models.pretrained.load import Pretrained, export, load, load_variables
from jdl.models.pretrained.preprocessing import Preprocessing, preprocess
from jdl.models.pretrained.sentences import load_sentence_encoder

__all__ = [
    "PRETRAINED",
    "Checkpoint",
    "Preprocessing",
    "Pretrained",
    "export",
    "load",
    "load_sentence_encoder",
    "load_variables",
    "preprocess",
]
