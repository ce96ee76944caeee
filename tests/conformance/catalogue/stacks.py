from functools import partial

from tests.conformance.case import ModelCase
from tests.conformance.catalogue.transformers import SMALL_GPT2, TOKENS

MODELS = {
    "jdl.models.transformers.gpt2.gpt2 [scanned, rematerialized]": ModelCase(
        partial(SMALL_GPT2, num_layers=2, scan_layers=True, remat=True), (TOKENS,)
    ),
}
