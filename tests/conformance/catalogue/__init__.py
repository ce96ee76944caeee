"""Every model and algorithm of the library, once, small.

A file a subject: each has `MODELS` or `ALGORITHMS`, dicts from the dotted path of a public factory
to its case. A second case of one factory has a note in brackets after the path.
"""

import importlib
import pkgutil

MODELS, ALGORITHMS = {}, {}
for _found in pkgutil.iter_modules(__path__, __name__ + "."):
    _module = importlib.import_module(_found.name)
    for _all, _own in (
        (MODELS, getattr(_module, "MODELS", {})),
        (ALGORITHMS, getattr(_module, "ALGORITHMS", {})),
    ):
        if _all.keys() & _own.keys():
            raise ValueError(f"{_found.name} lists {sorted(_all.keys() & _own.keys())} again")
        _all.update(_own)
