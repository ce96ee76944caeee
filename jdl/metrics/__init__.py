"""What is measured."""

from jdl.metrics.capacity import linearly_separable as linearly_separable
from jdl.metrics.capacity import separable_fraction as separable_fraction
from jdl.metrics.capacity import separable_labelings as separable_labelings
from jdl.metrics.classification import ClassificationReport as ClassificationReport
from jdl.metrics.classification import accuracy as accuracy
from jdl.metrics.classification import classification_report as classification_report
from jdl.metrics.classification import confusion_matrix as confusion_matrix
from jdl.metrics.classification import f1 as f1
from jdl.metrics.classification import precision as precision
from jdl.metrics.classification import recall as recall
from jdl.metrics.classification import specificity as specificity
from jdl.metrics.classification import top_k_accuracy as top_k_accuracy
from jdl.metrics.classification import weighted_average as weighted_average
from jdl.metrics.generation import ModeCoverage as ModeCoverage
from jdl.metrics.generation import mode_coverage as mode_coverage
from jdl.metrics.likelihood import pseudo_log_likelihood as pseudo_log_likelihood
from jdl.metrics.separability import Separator as Separator
from jdl.metrics.separability import widest_separator as widest_separator
