"""The base of primitives that move elements and compute nothing."""

from __future__ import annotations

from typing import Any

from pullback.core.primitive import Fusion, LinearPrimitive


class Mover(LinearPrimitive):
    """Each element of a result is an element of an operand, or comes from nowhere. Abstract.

    The operands that are moved are those in `linear_in` (all, if it is None); the others are
    positions. Where an element comes from depends on shapes, parameters and positions, never on
    what is moved. From this follows what a mover need not say:

    - `evaluate` takes arrays of any dtype, typed keys among them. Applied to the numbers of
      elements it says where each comes from, and so gives the Jacobian, which has a 1 there and
      zeros elsewhere: a law to which `tests/conformance` holds every row of a mover.
    - It is linear and makes no NaN.
    - A compiler reads an element of the operand for each of the result, in the loop of whatever
      uses the result, unless `fusion` says otherwise.

    A subclass gives the rules `type_of`, `evaluate`, `transpose`, `batch`, and `lower` or `expand`.

    >>> import numpy as np
    >>> from pullback.lax.arrangement import rev_p
    >>> rev_p.evaluate(np.array([b"any", b"thing"]), dimensions=(0,))
    array([b'thing', b'any'], dtype='|S5')
    >>> rev_p.evaluate(np.arange(3), dimensions=(0,))  # row i of the Jacobian: 1 in column 2 - i
    array([2, 1, 0])
    """

    fusion, operations = Fusion.MOVING, 1
    makes_nan = False

    def spell(self, speller: Any, *operands: Any, **params: Any) -> Any:
        return speller.call(self.evaluate, *operands, **params)  # without signals: nothing is computed


class IndexedMover(Mover):
    """A mover from or to positions that are operands, too. Abstract.

    Operand 0 is moved, unless `linear_in` says otherwise, and the result is as weak as that, unless
    `weakness` does. A compiler has a loop of its own for it.

    >>> import numpy as np
    >>> from pullback.lax.blocks import dynamic_slice_p
    >>> dynamic_slice_p.evaluate(np.arange(5), np.int32(1), slice_sizes=(2,))
    array([1, 2])
    """

    fusion, operations = Fusion.ALONE, 0
    linear_in: tuple[int, ...] | None = (0,)
    weakness = "first"
