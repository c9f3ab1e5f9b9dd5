"""Sparse arrays: BCOO, BCSR, COO, CSR and CSC, their products, derivatives, and `sparsify`.

What has a kernel in SciPy is computed by it in eager code; compiled programs gather and add up.
Everything is differentiated in the data, in both modes to any order.

    from pullback.experimental import sparse

    m = sparse.BCOO.fromdense(a)
    y = m @ x                            # a dense array
    s = sparse.sparsify(jnp.sin)(m)      # a sparse one
    g = sparse.grad(loss)(m)             # with the positions of m
"""

from pullback.experimental.sparse import linalg as linalg
from pullback.experimental.sparse.base import CuSparseEfficiencyWarning as CuSparseEfficiencyWarning
from pullback.experimental.sparse.base import JAXSparse as JAXSparse
from pullback.experimental.sparse.base import SparseEfficiencyError as SparseEfficiencyError
from pullback.experimental.sparse.base import SparseEfficiencyWarning as SparseEfficiencyWarning
from pullback.experimental.sparse.bcoo import BCOO as BCOO
from pullback.experimental.sparse.bcoo import bcoo_extract as bcoo_extract
from pullback.experimental.sparse.bcoo import bcoo_fromdense as bcoo_fromdense
from pullback.experimental.sparse.bcoo import bcoo_sort_indices as bcoo_sort_indices
from pullback.experimental.sparse.bcoo import bcoo_sum_duplicates as bcoo_sum_duplicates
from pullback.experimental.sparse.bcoo import bcoo_todense as bcoo_todense
from pullback.experimental.sparse.bcoo import bcoo_transpose as bcoo_transpose
from pullback.experimental.sparse.bcoo import bcoo_update_layout as bcoo_update_layout
from pullback.experimental.sparse.bcoo_products import bcoo_dot_general as bcoo_dot_general
from pullback.experimental.sparse.bcoo_products import bcoo_dot_general_sampled as bcoo_dot_general_sampled
from pullback.experimental.sparse.bcoo_products import bcoo_multiply_dense as bcoo_multiply_dense
from pullback.experimental.sparse.bcoo_products import bcoo_multiply_sparse as bcoo_multiply_sparse
from pullback.experimental.sparse.bcoo_shapes import bcoo_broadcast_in_dim as bcoo_broadcast_in_dim
from pullback.experimental.sparse.bcoo_shapes import bcoo_concatenate as bcoo_concatenate
from pullback.experimental.sparse.bcoo_shapes import bcoo_conv_general_dilated as bcoo_conv_general_dilated
from pullback.experimental.sparse.bcoo_shapes import bcoo_dynamic_slice as bcoo_dynamic_slice
from pullback.experimental.sparse.bcoo_shapes import bcoo_gather as bcoo_gather
from pullback.experimental.sparse.bcoo_shapes import bcoo_reduce_sum as bcoo_reduce_sum
from pullback.experimental.sparse.bcoo_shapes import bcoo_reshape as bcoo_reshape
from pullback.experimental.sparse.bcoo_shapes import bcoo_rev as bcoo_rev
from pullback.experimental.sparse.bcoo_shapes import bcoo_slice as bcoo_slice
from pullback.experimental.sparse.bcoo_shapes import bcoo_squeeze as bcoo_squeeze
from pullback.experimental.sparse.bcsr import BCSR as BCSR
from pullback.experimental.sparse.bcsr import bcsr_broadcast_in_dim as bcsr_broadcast_in_dim
from pullback.experimental.sparse.bcsr import bcsr_concatenate as bcsr_concatenate
from pullback.experimental.sparse.bcsr import bcsr_dot_general as bcsr_dot_general
from pullback.experimental.sparse.bcsr import bcsr_extract as bcsr_extract
from pullback.experimental.sparse.bcsr import bcsr_fromdense as bcsr_fromdense
from pullback.experimental.sparse.bcsr import bcsr_sum_duplicates as bcsr_sum_duplicates
from pullback.experimental.sparse.bcsr import bcsr_todense as bcsr_todense
from pullback.experimental.sparse.compositions import bcoo_dot_general_p as bcoo_dot_general_p
from pullback.experimental.sparse.compositions import bcoo_dot_general_sampled_p as bcoo_dot_general_sampled_p
from pullback.experimental.sparse.compositions import bcoo_extract_p as bcoo_extract_p
from pullback.experimental.sparse.compositions import bcoo_fromdense_p as bcoo_fromdense_p
from pullback.experimental.sparse.compositions import bcoo_sort_indices_p as bcoo_sort_indices_p
from pullback.experimental.sparse.compositions import bcoo_spdot_general_p as bcoo_spdot_general_p
from pullback.experimental.sparse.compositions import bcoo_sum_duplicates_p as bcoo_sum_duplicates_p
from pullback.experimental.sparse.compositions import bcoo_todense_p as bcoo_todense_p
from pullback.experimental.sparse.compositions import bcoo_transpose_p as bcoo_transpose_p
from pullback.experimental.sparse.compositions import bcsr_dot_general_p as bcsr_dot_general_p
from pullback.experimental.sparse.compositions import bcsr_extract_p as bcsr_extract_p
from pullback.experimental.sparse.compositions import bcsr_fromdense_p as bcsr_fromdense_p
from pullback.experimental.sparse.compositions import bcsr_todense_p as bcsr_todense_p
from pullback.experimental.sparse.compositions import coo_fromdense_p as coo_fromdense_p
from pullback.experimental.sparse.compositions import coo_todense_p as coo_todense_p
from pullback.experimental.sparse.compositions import csr_fromdense_p as csr_fromdense_p
from pullback.experimental.sparse.compositions import csr_todense_p as csr_todense_p
from pullback.experimental.sparse.creation import random_bcoo as random_bcoo
from pullback.experimental.sparse.derivatives import grad as grad
from pullback.experimental.sparse.derivatives import jacfwd as jacfwd
from pullback.experimental.sparse.derivatives import jacobian as jacobian
from pullback.experimental.sparse.derivatives import jacrev as jacrev
from pullback.experimental.sparse.derivatives import value_and_grad as value_and_grad
from pullback.experimental.sparse.matrices import COO as COO
from pullback.experimental.sparse.matrices import CSC as CSC
from pullback.experimental.sparse.matrices import CSR as CSR
from pullback.experimental.sparse.matrices import coo_fromdense as coo_fromdense
from pullback.experimental.sparse.matrices import coo_matmat as coo_matmat
from pullback.experimental.sparse.matrices import coo_matvec as coo_matvec
from pullback.experimental.sparse.matrices import coo_todense as coo_todense
from pullback.experimental.sparse.matrices import csr_fromdense as csr_fromdense
from pullback.experimental.sparse.matrices import csr_matmat as csr_matmat
from pullback.experimental.sparse.matrices import csr_matvec as csr_matvec
from pullback.experimental.sparse.matrices import csr_todense as csr_todense
from pullback.experimental.sparse.matrices import empty as empty
from pullback.experimental.sparse.matrices import eye as eye
from pullback.experimental.sparse.products import coo_matmat_p as coo_matmat_p
from pullback.experimental.sparse.products import coo_matvec_p as coo_matvec_p
from pullback.experimental.sparse.products import csr_matmat_p as csr_matmat_p
from pullback.experimental.sparse.products import csr_matvec_p as csr_matvec_p
from pullback.experimental.sparse.rules import install as _install
from pullback.experimental.sparse.sparsification import SparseTracer as SparseTracer
from pullback.experimental.sparse.sparsification import sparsify as sparsify
from pullback.experimental.sparse.sparsification import todense as todense
from pullback.experimental.sparse.sparsification import todense_p as todense_p

_install()
