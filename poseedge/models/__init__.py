"""The networks: ``create(name, **config)``, ``names()``, ``load_checkpoint(path)``."""

from poseedge.models import graphmlp as graphmlp
from poseedge.models import htnet as htnet
from poseedge.models import mhformer as mhformer
from poseedge.models import mixste as mixste
from poseedge.models import motionbert as motionbert
from poseedge.models import nanohtnet as nanohtnet
from poseedge.models import nehsnet as nehsnet
from poseedge.models import strided_transformer as strided_transformer
from poseedge.models.checkpoints import load_checkpoint as load_checkpoint
from poseedge.models.registry import create as create
from poseedge.models.registry import names as names
