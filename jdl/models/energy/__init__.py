"""Energy-based models."""

from jdl.models.energy.rbm import rbm as rbm
