"""Algorithms that know no architecture, and the drivers that run them."""

from jdl.train.checkpoints import Checkpoints as Checkpoints
from jdl.train.checkpoints import latest_step as latest_step
from jdl.train.checkpoints import load_checkpoint as load_checkpoint
from jdl.train.checkpoints import save_checkpoint as save_checkpoint
from jdl.train.descent import DescentState as DescentState
from jdl.train.descent import descent as descent
from jdl.train.descent import gradient as gradient
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
from jdl.train.run import run as run
from jdl.train.stopping import EarlyStopping as EarlyStopping
