"""Data sets, splits and batches."""

from jdl.data.batches import minibatches as minibatches
from jdl.data.batches import size_of as size_of
from jdl.data.bundled import ClassTable as ClassTable
from jdl.data.bundled import LabelledImages as LabelledImages
from jdl.data.bundled import NamedImages as NamedImages
from jdl.data.bundled import ValueTable as ValueTable
from jdl.data.bundled import breast_cancer as breast_cancer
from jdl.data.bundled import diabetes as diabetes
from jdl.data.bundled import digits as digits
from jdl.data.bundled import iris as iris
from jdl.data.bundled import photographs as photographs
from jdl.data.bundled import wine as wine
from jdl.data.splits import Folds as Folds
from jdl.data.splits import Split as Split
from jdl.data.splits import forward_chaining as forward_chaining
from jdl.data.splits import k_fold as k_fold
from jdl.data.splits import train_test_split as train_test_split
from jdl.data.toys import Points as Points
from jdl.data.toys import blobs as blobs
from jdl.data.toys import circles as circles
from jdl.data.toys import harmonic_series as harmonic_series
from jdl.data.toys import moons as moons
from jdl.data.toys import ring_centres as ring_centres
from jdl.data.toys import ring_of_gaussians as ring_of_gaussians
from jdl.data.toys import spirals as spirals
from jdl.data.toys import xor as xor
