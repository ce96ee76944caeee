"""Algorithms that know no architecture, and the drivers that run them."""

from jdl.train.descent import DescentState as DescentState
from jdl.train.descent import descent as descent
from jdl.train.descent import gradient as gradient
from jdl.train.game import GameState as GameState
from jdl.train.game import Player as Player
from jdl.train.game import game as game
from jdl.train.run import run as run
