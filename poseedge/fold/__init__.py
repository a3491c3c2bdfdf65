"""Exact algebra on modules before tracing: plain network in, equal network out that exports to fewer, larger operators.

``fold(network, free_batch)`` is dispatched on the network's class; each family's module registers its own.
"""

from poseedge.fold import graphmlp as graphmlp
from poseedge.fold import htnet as htnet
from poseedge.fold import mhformer as mhformer
from poseedge.fold import mixste as mixste
from poseedge.fold import motionbert as motionbert
from poseedge.fold import nanohtnet as nanohtnet
from poseedge.fold import nehsnet as nehsnet
from poseedge.fold import strided_transformer as strided_transformer
from poseedge.fold.registry import differentiable_fold as differentiable_fold
from poseedge.fold.registry import fold as fold
