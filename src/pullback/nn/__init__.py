"""Neural-network functions: activations, normalization, attention; `initializers` make parameters."""

from pullback.nn import initializers as initializers
from pullback.nn.activations import *
from pullback.nn.attention import *
from pullback.nn.normalization import *
from pullback.nn.scaled_products import *
from pullback.numpy.ufuncs import tanh as tanh
