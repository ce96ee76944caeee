"""Densities, samplers and approximations of posteriors, and what tells whether to believe them."""

from jdl.bayes.diagnostics import effective_sample_size as effective_sample_size
from jdl.bayes.diagnostics import r_hat as r_hat
from jdl.bayes.hmc import HMCState as HMCState
from jdl.bayes.hmc import hmc as hmc
from jdl.bayes.hmc import leapfrog as leapfrog
from jdl.bayes.metropolis import ChainState as ChainState
from jdl.bayes.metropolis import metropolis as metropolis
from jdl.bayes.numpyro_kernels import from_numpyro as from_numpyro
from jdl.bayes.warmup import tuned_step_size as tuned_step_size
from jdl.bayes.warmup import warmed_up as warmed_up
