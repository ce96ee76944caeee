"""Embeddings of faces, and a classifier by their cosines."""

from functools import partial

import numpy as np

from jdl.models.convnets.face_verification import face_classifier, face_embedding
from jdl.models.mlp import mlp
from tests.conformance.case import ModelCase

ROWS = np.random.default_rng(0).normal(size=[3, 4]).astype(np.float32)

MODELS = {
    "jdl.models.convnets.face_verification.face_embedding": ModelCase(
        partial(face_embedding, mlp([4, 3])), (ROWS,)
    ),
    "jdl.models.convnets.face_verification.face_classifier": ModelCase(
        partial(face_classifier, mlp([4, 3]), 3, 2), (ROWS,)
    ),
}
