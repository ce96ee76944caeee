"""The catalogue is complete: who adds a system adds a line there."""

import importlib

from tests.conformance.case import public_factories
from tests.conformance.catalogue import ALGORITHMS, MODELS

LISTED = {name.split(" ")[0] for name in [*MODELS, *ALGORITHMS]}


def test_every_public_factory_is_in_the_catalogue():
    missing = sorted(set(public_factories()) - LISTED)
    assert not missing, f"give each a case in a file of tests/conformance/catalogue: {missing}"


def test_every_line_of_the_catalogue_names_a_public_function():
    for path in LISTED:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), path
    assert LISTED <= set(public_factories())


def test_the_walk_finds_models_algorithms_and_estimators_and_nothing_else():
    found = set(public_factories())
    assert {"jdl.models.mlp.mlp", "jdl.train.game.game", "jdl.train.descent.gradient"} <= found
    assert not {"jdl.train.run.run", "jdl.train.fit.fit", "jdl.bayes.hmc.leapfrog"} & found
