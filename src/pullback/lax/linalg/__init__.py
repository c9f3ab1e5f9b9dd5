"""Linear algebra: matrix decompositions and solvers as primitives, evaluated by LAPACK.

Each module holds one decomposition with all its rules. All work on batches: a matrix is the last
two axes. Derivatives exist to any order, for real and complex matrices; where there is none, the
rule says why. Floats of 16 bits and less raise NotImplementedError, as LAPACK has no such type
(`triangular_solve` computes them in float32).
"""

from pullback.lax.linalg.cholesky import cholesky, cholesky_p, cholesky_update, cholesky_update_p
from pullback.lax.linalg.determinant import cofactor_p, det_p, slogdet_p
from pullback.lax.linalg.eigen import (
    EighImplementation,
    EigImplementation,
    eig,
    eig_p,
    eigh,
    eigh_p,
)
from pullback.lax.linalg.exponential import expm_p
from pullback.lax.linalg.hessenberg import hessenberg, hessenberg_factors_p, hessenberg_p, tridiagonal, tridiagonal_p
from pullback.lax.linalg.lu import lu, lu_p, lu_pivots_to_permutation, lu_pivots_to_permutation_p, lu_solve_p, solve_p
from pullback.lax.linalg.polar import polar_p, qdwh
from pullback.lax.linalg.qr import geqrf_p, householder_product, householder_product_p, ormqr, ormqr_p, qr, qr_p
from pullback.lax.linalg.schur import schur, schur_p
from pullback.lax.linalg.svd import SvdAlgorithm, pinv_p, svd, svd_p
from pullback.lax.linalg.sylvester import sqrtm_p, sylvester_p
from pullback.lax.linalg.symmetric import symmetric_product, symmetric_product_p
from pullback.lax.linalg.triangular import triangular_solve, triangular_solve_p
from pullback.lax.linalg.triangular_sylvester import triangular_sylvester_p
from pullback.lax.linalg.tridiagonal_spectrum import tridiagonal_eigenvalues_p
from pullback.lax.linalg.tridiagonal_systems import tridiagonal_solve, tridiagonal_solve_p

__all__ = [
    "EigImplementation", "EighImplementation", "SvdAlgorithm", "cholesky", "cholesky_p", "cholesky_update",
    "cholesky_update_p", "cofactor_p", "det_p", "eig", "eig_p", "eigh", "eigh_p", "expm_p", "geqrf_p", "hessenberg", "hessenberg_factors_p",
    "hessenberg_p", "householder_product", "householder_product_p", "lu", "lu_p", "lu_pivots_to_permutation",
    "lu_pivots_to_permutation_p", "lu_solve_p", "ormqr", "ormqr_p", "pinv_p", "polar_p", "qdwh", "qr", "qr_p", "schur", "schur_p",
    "slogdet_p", "solve_p", "sqrtm_p", "svd", "svd_p", "sylvester_p", "symmetric_product", "symmetric_product_p", "triangular_solve",
    "triangular_solve_p", "triangular_sylvester_p", "tridiagonal", "tridiagonal_eigenvalues_p", "tridiagonal_p", "tridiagonal_solve",
    "tridiagonal_solve_p",
]  # fmt: skip
