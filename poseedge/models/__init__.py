"""The networks: ``create(name, **config)``, ``names()``, ``load_checkpoint(path)``.

Every module of this folder is imported, so that each network's registers it: a new one is found because it is here.
"""

import importlib
import pkgutil

from poseedge.models.checkpoints import load_checkpoint as load_checkpoint
from poseedge.models.registry import create as create
from poseedge.models.registry import names as names

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
