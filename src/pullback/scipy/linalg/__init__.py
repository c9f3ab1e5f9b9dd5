"""Linear algebra with SciPy's names: `scipy.linalg`, on batches of matrices, with derivatives.

A matrix is the last two axes of an array; all axes before are batch axes. Integers become floats
unless a function says that it refuses them. Where SciPy raises `LinAlgError`, results are NaN or
infinite; `check_finite` and `overwrite_*` are accepted and change nothing. Floats of 16 bits raise
NotImplementedError.
"""

from pullback.scipy.linalg.factorizations import (
    cho_factor,
    cholesky,
    eigh,
    eigh_tridiagonal,
    hessenberg,
    lu,
    lu_factor,
    polar,
    qr,
    qr_multiply,
    rsf2csf,
    schur,
    svd,
)
from pullback.scipy.linalg.matrix_functions import expm, expm_frechet, funm, sqrtm
from pullback.scipy.linalg.solves import (
    cho_solve,
    det,
    inv,
    lu_solve,
    solve,
    solve_sylvester,
    solve_triangular,
)
from pullback.scipy.linalg.structured import (
    block_diag,
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    fiedler_companion,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    leslie,
    pascal,
    toeplitz,
)

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion", "convolution_matrix", "det", "dft", "eigh",
    "eigh_tridiagonal", "expm", "expm_frechet", "fiedler", "fiedler_companion", "funm", "hadamard", "hankel", "helmert",
    "hessenberg", "hilbert", "inv", "invhilbert", "invpascal", "leslie", "lu", "lu_factor", "lu_solve", "pascal", "polar", "qr",
    "qr_multiply", "rsf2csf", "schur", "solve", "solve_sylvester", "solve_triangular", "sqrtm", "svd", "toeplitz",
]  # fmt: skip
