"""Exact algebra on modules before tracing: plain network in, equal network out that exports to fewer, larger operators.

``fold(network, free_batch)`` is dispatched on the network's class; each family's module registers its own.
"""

from poseedge.deploy.fold import graphmlp as graphmlp
from poseedge.deploy.fold import htnet as htnet
from poseedge.deploy.fold import mhformer as mhformer
from poseedge.deploy.fold import mixste as mixste
from poseedge.deploy.fold import motionbert as motionbert
from poseedge.deploy.fold import nanohtnet as nanohtnet
from poseedge.deploy.fold import nehsnet as nehsnet
from poseedge.deploy.fold import strided_transformer as strided_transformer
from poseedge.deploy.fold.registry import differentiable_fold as differentiable_fold
from poseedge.deploy.fold.registry import fold as fold
