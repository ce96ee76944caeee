"""Algorithms that know no architecture, and the drivers that run them."""

from jdl.train.accumulate import accumulate as accumulate
from jdl.train.averaging import averaged as averaged
from jdl.train.averaging import copied as copied
from jdl.train.averaging import debiased_ema as debiased_ema
from jdl.train.averaging import ema as ema
from jdl.train.averaging import model_variables as model_variables
from jdl.train.averaging import polyak as polyak
from jdl.train.averaging import reestimated as reestimated
from jdl.train.averaging import swa as swa
from jdl.train.averaging import with_average as with_average
from jdl.train.averaging import with_target as with_target
from jdl.train.benchmark import Benchmark as Benchmark
from jdl.train.benchmark import benchmark as benchmark
from jdl.train.benchmark import matmul_peak as matmul_peak
from jdl.train.benchmark import memory_bandwidth as memory_bandwidth
from jdl.train.checkpoints import Checkpoints as Checkpoints
from jdl.train.checkpoints import latest_step as latest_step
from jdl.train.checkpoints import load_checkpoint as load_checkpoint
from jdl.train.checkpoints import save_checkpoint as save_checkpoint
from jdl.train.contrastive import contrastive_divergence as contrastive_divergence
from jdl.train.contrastive import (
    persistent_contrastive_divergence as persistent_contrastive_divergence,
)
from jdl.train.contrastive import swept as swept
from jdl.train.contrastive import with_chains as with_chains
from jdl.train.descent import DescentState as DescentState
from jdl.train.descent import descent as descent
from jdl.train.descent import gradient as gradient
from jdl.train.ensemble import ensemble as ensemble
from jdl.train.ensemble import members as members
from jdl.train.fit import Diverged as Diverged
from jdl.train.fit import Fitted as Fitted
from jdl.train.fit import fit as fit
from jdl.train.game import GameState as GameState
from jdl.train.game import Player as Player
from jdl.train.game import game as game
from jdl.train.objectives import classification as classification
from jdl.train.objectives import regression as regression
from jdl.train.parallel import AverageState as AverageState
from jdl.train.parallel import average_over as average_over
from jdl.train.parallel import data_mesh as data_mesh
from jdl.train.parallel import global_batch as global_batch
from jdl.train.parallel import pmapped as pmapped
from jdl.train.parallel import replicate as replicate
from jdl.train.parallel import sharded as sharded
from jdl.train.rules import hebb as hebb
from jdl.train.rules import novikoff_bound as novikoff_bound
from jdl.train.rules import perceptron as perceptron
from jdl.train.rules import widrow_hoff as widrow_hoff
from jdl.train.run import run as run
from jdl.train.stopping import EarlyStopping as EarlyStopping
from jdl.train.timing import Comparison as Comparison
from jdl.train.timing import compare as compare
from jdl.train.timing import threaded as threaded
