"""Deep learning research in JAX: models, objectives and algorithms as pure functions that compose.

jdl.nn          mathematics and layers that jax.nn, Flax and Optax lack
jdl.models      one system a file: networks, and the objectives that are theirs alone
jdl.train       descent, games, loops, checkpoints, ensembles, devices
jdl.bayes       densities, samplers, approximations and their diagnostics
jdl.rl          environments as pure functions, agents as algorithms
jdl.data        data sets, splits, batches
jdl.metrics     what is measured
jdl.plot        pictures of all of these
jdl.recipes     worked examples: `jdl run NAME`
"""

from jdl.adapters import from_equinox as from_equinox
from jdl.adapters import from_linen as from_linen
from jdl.core import Algorithm as Algorithm
from jdl.core import Estimator as Estimator
from jdl.core import Model as Model
from jdl.core import Objective as Objective
from jdl.core import Variables as Variables
from jdl.functional import functional as functional
from jdl.summary import summary as summary

__version__ = "0.1.0"
