"""Exact algebra on modules before tracing: plain network in, equal network out that exports to fewer, larger operators.

``fold(network, free_batch)`` is dispatched on the network's class. Every module of this folder is imported, so that each
family's registers its own.
"""

import importlib
import pkgutil

from poseedge.fold.registry import differentiable_fold as differentiable_fold
from poseedge.fold.registry import fold as fold
from poseedge.fold.registry import has_fold as has_fold
from poseedge.fold.registry import streaming_form as streaming_form

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
