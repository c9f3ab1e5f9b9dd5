"""What platforms can do: lowering asks for capabilities, never for a platform's name.

There is one table (`known`), to which the package of a plug-in adds its platform:

    register(Capabilities("abacus", has_float64=False))

A platform that is not in the table has what `Capabilities` has by default: all that StableHLO has,
and nothing beside.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a platform's compiler and runtime can do, and which way of computing is the quick one
    there.

    >>> capabilities_of("cpu").has_lapack, capabilities_of("abacus").has_lapack
    (True, False)
    """

    platform: str
    #: LAPACK's kernels can be called by name.
    has_lapack: bool = False
    #: Programs can call Python functions of this process.
    calls_host: bool = False
    #: There are 64-bit floating numbers, and complex numbers of two.
    has_float64: bool = True
    #: XLA fuses nothing through an optimization barrier, if the passes that take them out are
    #: switched off (`pjrt.compile_text`): a plan of ours says what is kept (`xla.fusion`).
    keeps_barriers: bool = False
    #: A call can ask XLA to write the function that it calls into one kernel (`xla.kernels`).
    makes_kernels: bool = False
    #: One operand is sorted by its plain order much more quickly than several by a comparator: a
    #: key of at most 32 bits is packed with its position.
    packs_sort_keys: bool = True
    #: The largest of float32 numbers are found much more quickly than those of other types, by IEEE's
    #: total order of their bits.
    selects_singles: bool = False
    #: Products of matrices are of the full precision of their operands, and computed by operations of
    #: the dtypes that they are computed in; there are no other algorithms.
    has_exact_products: bool = False
    #: Passes over memory count, and not the depth: prefixes are found by a loop over rows, if these
    #: are long.
    loops_over_rows: bool = False
    #: Convolutions of single features are loops over their elements if they are of float64, and
    #: quicker so than those of float32.
    convolves_by_loops: bool = False


CPU = Capabilities(
    "cpu", has_lapack=True, calls_host=True, keeps_barriers=True, has_exact_products=True, loops_over_rows=True,
    convolves_by_loops=True, makes_kernels=True, selects_singles=True,
)  # fmt: skip
_known = {CPU.platform: CPU}


def register(capabilities: Capabilities) -> None:
    """Say what a platform can do. Programs that have been lowered already stay as they are."""
    _known[capabilities.platform] = capabilities


def known() -> Collection[Capabilities]:
    """Those of all platforms in the table."""
    return _known.values()


def capabilities_of(platform: str) -> Capabilities:
    """What a platform can do."""
    return _known.get(platform) or Capabilities(platform)
