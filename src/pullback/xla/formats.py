"""In which order the elements of an array lie in memory: descriptions.

Arrays are row-major, and a compiled program lays out what is inside it as XLA sees fit; so a layout
is checked against the array that it is for, and changes nothing that could be seen.
"""

from __future__ import annotations

from typing import Any

from pullback.core.errors import user_line
from pullback.core.types import Shape, integers
from pullback.xla.meshes import Sharding


class _Auto:
    """The layout that is left to the compiler."""

    def __repr__(self) -> str:
        return "AUTO"

    def __reduce__(self) -> str:
        return "AUTO"


AUTO = _Auto()


class Layout:
    """The order of an array's axes in memory, the slowest first, and tiles, where a device has
    some.

    >>> Layout((1, 0))
    Layout(major_to_minor=(1, 0), tiling=None, sub_byte_element_size_in_bits=0)
    """

    __slots__ = ("major_to_minor", "tiling", "sub_byte_element_size_in_bits")
    AUTO = AUTO

    def __init__(
        self,
        major_to_minor: Any,
        tiling: tuple[tuple[int, ...], ...] | None = None,
        sub_byte_element_size_in_bits: int = 0,
    ) -> None:
        self.major_to_minor = integers(major_to_minor, "Layout: major_to_minor")
        self.tiling = None if tiling is None else tuple(map(tuple, tiling))
        self.sub_byte_element_size_in_bits = sub_byte_element_size_in_bits

    def check_compatible_aval(self, aval_shape: Shape) -> None:
        """Raises ValueError if it is not a layout of arrays of this shape.

        >>> Layout((1, 0)).check_compatible_aval((2, 3, 4))
        Traceback (most recent call last):
          ...
        ValueError: Layout(major_to_minor=(1, 0), ...) does not order the axes of an array of shape (2, 3, 4): ...
        """
        if sorted(self.major_to_minor) != list(range(len(aval_shape))):
            raise ValueError(
                f"{self} does not order the axes of an array of shape {tuple(aval_shape)}: each of them must be there once, at "
                f"{user_line()}"
            )

    def update(self, **changes: Any) -> Layout:
        """A copy with some fields changed.

        >>> Layout((1, 0)).update(major_to_minor=(0, 1)).major_to_minor
        (0, 1)
        """
        return Layout(**{name: getattr(self, name) for name in self.__slots__} | changes)

    def _key(self) -> tuple[Any, ...]:
        return self.major_to_minor, self.tiling or None, self.sub_byte_element_size_in_bits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"Layout(major_to_minor={self.major_to_minor}, tiling={self.tiling}, "
            f"sub_byte_element_size_in_bits={self.sub_byte_element_size_in_bits})"
        )


class Format:
    """Where an array is, and in which order its elements lie there: a layout and a sharding, either
    of which may be None.

    Raises ValueError for what is no layout, and for a layout of nothing that is somewhere;
    TypeError for what is no sharding.

    >>> Format()
    Format(layout=None, sharding=None)
    """

    __slots__ = ("layout", "sharding")

    def __init__(self, layout: Any = None, sharding: Any = None) -> None:
        if layout is not None and layout is not AUTO and not isinstance(layout, Layout):
            raise ValueError(
                f"Format: layout must be a Layout, Layout.AUTO or None, got {layout!r:.100} of type {type(layout).__name__!r}, at "
                f"{user_line()}"
            )
        if sharding is not None and not isinstance(sharding, Sharding):
            raise TypeError(f"Format: sharding must be a Sharding or None, got {sharding!r:.100}, at {user_line()}")
        if isinstance(layout, Layout) and sharding is None:
            raise ValueError(f"Format: {layout} needs a sharding, which says where the array is, at {user_line()}")
        self.layout, self.sharding = layout, sharding

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and (self.layout, self.sharding) == (other.layout, other.sharding)

    def __hash__(self) -> int:
        return hash((self.layout, self.sharding))

    def __repr__(self) -> str:
        return f"Format(layout={self.layout}, sharding={self.sharding})"


def row_major(ndim: int) -> Layout:
    """The layout of Pullback's arrays.

    >>> row_major(2).major_to_minor
    (0, 1)
    """
    return Layout(range(ndim), ())


__all__ = ["AUTO", "Format", "Layout", "row_major"]
