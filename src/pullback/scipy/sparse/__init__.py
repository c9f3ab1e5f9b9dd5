"""Linear algebra of operators."""

from pullback.scipy.sparse import linalg as linalg
