"""Neural-network functions: activations, normalization, attention; `initializers` make parameters.

Activations take arrays of any shape, or Python's numbers, and give that shape (`glu` halves an axis).
Floating dtypes stay what they are, and complex ones where the formula has a meaning; integers become
floats unless a function says otherwise (`relu`, `hard_tanh` and `identity` keep them). Lists and other
things that are no arrays raise TypeError.

>>> import pullback as pb
>>> import pullback.numpy as jnp
>>> x = jnp.array([-1.0, 0.0, 2.0], "bfloat16")
>>> pb.nn.relu(x), pb.nn.sigmoid(x).dtype
(Array([0, 0, 2], dtype=bfloat16), dtype(bfloat16))
"""

from pullback.nn import initializers as initializers
from pullback.nn.activations import *
from pullback.nn.attention import *
from pullback.nn.normalization import *
from pullback.nn.scaled_products import *
from pullback.numpy.ufuncs import tanh as tanh
