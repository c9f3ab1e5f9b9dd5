"""What several tests of transformations need."""

import numpy as np
import pytest


@pytest.fixture
def impossible():
    """An operation with a lowering that XLA refuses."""
    from pullback.core.primitive import Primitive, registry

    class Impossible(Primitive):
        name = "impossible"

        def type_of(self, x):
            return x

        def lower(self, emit, x):
            return emit("add", x, emit.constant(np.int8(1)), out=x)

    primitive = Impossible()
    del registry["impossible"]
    return primitive
