"""Convolutional networks."""

from jdl.models.convnets.lenet import lenet5 as lenet5
