"""Compiled library functions beside JAX's: `python -m benchmarks.library [--smoke] [--rounds N] [--only TEXT] [--float64]`.

Every line of the tables below is a function of a module that both libraries have, and the kinds of its arguments. Both run in this process
and take turns, call by call; answers are compared. Shown are the quotients of the medians of time, and of processor time, which depends
less on what else the machine does. Functions for which both are above the target are printed again at the end.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["PULLBACK_ENABLE_COMPILATION_CACHE"] = "0"

import numpy as np

TARGET = 1.05
SIZE = 100_000
RNG = np.random.default_rng(0)

# ---- arguments -----------------------------------------------------------------------------------


def _symmetric(n: int) -> np.ndarray:
    a = RNG.normal(size=(n, n))
    return a @ a.T / n + np.eye(n)


def _sparse(rows: int, columns: int, density: float) -> np.ndarray:
    return np.where(RNG.uniform(size=(rows, columns)) < density, RNG.normal(size=(rows, columns)), 0.0)


#: Arguments by their letters in the tables; floats get the precision that is measured.
ARGUMENTS: dict[str, Callable[[], np.ndarray]] = {
    "x": lambda: RNG.normal(size=SIZE) * 2,  # real
    "y": lambda: RNG.normal(size=SIZE),
    "p": lambda: RNG.uniform(0.05, 0.95, SIZE),  # probabilities
    "q": lambda: RNG.uniform(0.05, 0.95, SIZE),
    "a": lambda: RNG.uniform(0.5, 6.0, SIZE),  # shapes, rates, scales
    "b": lambda: RNG.uniform(0.5, 6.0, SIZE),
    "w": lambda: RNG.uniform(1.5, 6.0, SIZE),
    "k": lambda: RNG.integers(0, 8, SIZE).astype(np.float64),  # counts
    "n": lambda: RNG.integers(10, 20, SIZE).astype(np.float64),
    "i": lambda: RNG.integers(0, 1000, SIZE).astype(np.int32),  # classes, segments
    "j": lambda: np.sort(RNG.integers(0, 1000, SIZE)).astype(np.int32),
    "bits": lambda: RNG.uniform(size=SIZE) < 0.5,
    "M": lambda: RNG.normal(size=(256, 256)) / 16,
    "G": lambda: RNG.normal(size=(64, 64)) / 8,
    "H": lambda: _symmetric(256),
    "h": lambda: _symmetric(64),
    "T": lambda: RNG.normal(size=(256, 64)),
    "R": lambda: RNG.normal(size=(1000, 100)),
    "C": lambda: RNG.integers(0, 100, 1000).astype(np.int32),
    "v": lambda: RNG.normal(size=256),
    "u": lambda: RNG.normal(size=255),
    "s": lambda: RNG.normal(size=1 << 16),
    "f": lambda: RNG.normal(size=65),
    "F": lambda: RNG.normal(size=1025),
    "I": lambda: RNG.normal(size=(256, 256)),
    "K": lambda: RNG.normal(size=(5, 5)),
    "P": lambda: RNG.normal(size=(8, 64, 64, 3)),
    "S": lambda: _sparse(1000, 1000, 0.02),
    "coo": lambda: _sparse(1000, 1000, 0.02),  # as a BCOO
    "csr": lambda: _sparse(1000, 1000, 0.02),  # as a BCSR
    "D": lambda: RNG.normal(size=(1000, 64)),
    "E": lambda: RNG.normal(size=(30_000, 3)),
    "Q": lambda: RNG.normal(size=(25_000, 4)),
    "L": lambda: np.abs(RNG.normal(size=(2, SIZE))) * 200 + 20,
    "A": lambda: RNG.normal(size=(4, 128, 8, 32)),
}

# ---- functions: what is called, and with what ----------------------------------------------------

CALLS = """
scipy.special
    rel_entr(a, b)              kl_div(a, b)                logit(p)                    expit(x)
    xlogy(a, b)                 xlog1py(a, p)               entr(p)                     logsumexp(x)
    softmax(x)                  log_softmax(x)              boxcox(a, y)                boxcox1p(a, y)
    gamma(a)                    gamma(x)                    gammaln(a)                  gammaln(x)
    gammasgn(x)                 digamma(a)                  digamma(x)                  loggamma(a)
    polygamma(1, a)             polygamma(2, a)             zeta(w, b)                  gammainc(a, b)
    gammaincc(a, b)             beta(a, b)                  betaln(a, b)                betainc(a, b, p)
    poch(a, b)                  factorial(k)                comb(n, k)                  multigammaln(w, 2)
    erf(x)                      erfc(x)                     erfinv(p)                   erfcx(x)
    dawsn(x)                    ndtr(x)                     log_ndtr(x)                 ndtri(p)
    i0(x)                       i0e(x)                      i1(x)                       i1e(x)
    exp1(a)                     expi(x)                     expn(2, a)                  sici(x)
    fresnel(x)                  spence(a)                   hyp1f1(a, b, p)             hyp2f1(a, b, w, p)
    owens_t(x, y)
scipy.stats
    norm.pdf(x)                 norm.logpdf(x)              norm.cdf(x)                 norm.logcdf(x)
    norm.sf(x)                  norm.logsf(x)               norm.ppf(p)                 norm.isf(p)
    cauchy.pdf(x)               cauchy.logpdf(x)            cauchy.cdf(x)               cauchy.logcdf(x)
    cauchy.sf(x)                cauchy.ppf(p)               cauchy.logsf(x)             cauchy.isf(p)
    expon.pdf(a)                expon.logpdf(a)             expon.cdf(a)                expon.logcdf(a)
    expon.sf(a)                 expon.ppf(p)                laplace.pdf(x)              laplace.logpdf(x)
    laplace.cdf(x)              logistic.pdf(x)             logistic.logpdf(x)          logistic.cdf(x)
    logistic.sf(x)              logistic.ppf(p)             uniform.pdf(p)              uniform.logpdf(p)
    uniform.cdf(p)              uniform.ppf(p)              gamma.pdf(a, b)             gamma.logpdf(a, b)
    gamma.cdf(a, b)             gamma.logcdf(a, b)          gamma.sf(a, b)              gamma.logsf(a, b)
    beta.pdf(p, a, b)           beta.logpdf(p, a, b)        beta.cdf(p, a, b)           beta.logcdf(p, a, b)
    beta.sf(p, a, b)            beta.logsf(p, a, b)         chi2.pdf(a, b)              chi2.logpdf(a, b)
    chi2.cdf(a, b)              chi2.logcdf(a, b)           chi2.sf(a, b)               chi2.logsf(a, b)
    t.pdf(x, a)                 t.logpdf(x, a)              poisson.pmf(k, a)           poisson.logpmf(k, a)
    poisson.cdf(k, a)           poisson.entropy(a[:10000])  binom.pmf(k, n, p)          binom.logpmf(k, n, p)
    nbinom.pmf(k, n, p)         nbinom.logpmf(k, n, p)      geom.pmf(k, p)              geom.logpmf(k, p)
    bernoulli.pmf(k, p)         bernoulli.logpmf(k, p)      bernoulli.cdf(k, p)         bernoulli.ppf(q, p)
    betabinom.pmf(k, n, a, b)   betabinom.logpmf(k, n, a, b)
    pareto.pdf(w, b)            pareto.logpdf(w, b)         pareto.cdf(w, b)            pareto.sf(w, b)
    pareto.ppf(p, b)            gennorm.pdf(x, a)           gennorm.logpdf(x, a)        gennorm.cdf(x, a)
    gumbel_r.pdf(x)             gumbel_r.logpdf(x)          gumbel_r.cdf(x)             gumbel_r.logcdf(x)
    gumbel_r.ppf(p)             gumbel_l.pdf(x)             gumbel_l.logpdf(x)          gumbel_l.cdf(x)
    gumbel_l.ppf(p)             truncnorm.pdf(x, -1, 2)     truncnorm.logpdf(x, -1, 2)  truncnorm.cdf(x, -1, 2)
    truncnorm.logcdf(x, -1, 2)  truncnorm.sf(x, -1, 2)      truncnorm.logsf(x, -1, 2)   vonmises.pdf(x, a)
    vonmises.logpdf(x, a)       wrapcauchy.pdf(x, p)        wrapcauchy.logpdf(x, p)     rankdata(x)
    mode(k)                     sem(x)
    dirichlet.logpdf(p[:3] / p[:3].sum(), a[:3])            multinomial.logpmf(k[:10], k[:10].sum(), p[:10] / p[:10].sum())
    multivariate_normal.logpdf(T, T[0], h)                  gaussian_kde(x[:1000]).evaluate(y[:1000])
    norm.pdf(x, y, a)           norm.logpdf(x, y, a)        norm.cdf(x, y, a)           gamma.logpdf(a, b, 0, w)
scipy.linalg
    eigh_tridiagonal(v, u, True)                            eigh_tridiagonal(v, u, eigvals_only=True, select="i", select_range=(0, 9))
    eigh(H)                     eigh(H, eigvals_only=True)  svd(M)                      svd(M, compute_uv=False)
    cholesky(H)                 cho_factor(H)               cho_solve(cho_factor(H), v)  lu(M)
    lu_factor(M)                lu_solve(lu_factor(M), v)   qr(M)                       qr(T, mode="economic")
    solve(M, v)                 solve(H, v, assume_a="pos")  solve_triangular(H, v)      solve_triangular(H, M)
    inv(M)                      det(M)                      expm(M)                     expm(G)
    expm_frechet(G, G)          funm(G, jnp.exp)            funm(M, jnp.exp)            sqrtm(G)
    schur(G)                    hessenberg(M)               polar(G)                    toeplitz(v)
    hankel(v)                   circulant(v)                block_diag(G, G, G)         companion(v)
    convolution_matrix(v, 64)   fiedler(v)                  leslie(v, u)                qr_multiply(T, h)
    solve_sylvester(G, h, G)    helmert(200)                hilbert(200)                hadamard(256)
    dft(200)                    pascal(20)                  invhilbert(10)              rsf2csf(*schur(G))
scipy.signal
    convolve(s, f)              convolve(s, F)              convolve(s, f, "same")      correlate(s, f)
    fftconvolve(s, F)           convolve2d(I, K)            convolve2d(I, K, "same")    correlate2d(I, K)
    detrend(s)                  detrend(s, type="constant")  stft(s)                     istft(stft(s)[2])
    welch(s)                    csd(s, -s)
numpy
    convolve(s, f)              convolve(s, F)              convolve(s, f, "same")      correlate(s, f)
    convolve(f, s, "valid")     correlate(s, f, "full")     convolve(v, u)              convolve(s, f[:5])
    polyval(f[:8], x)           polymul(v, u)               polydiv(v, f[:20])          roots(f[:20])
    interp(x, f.cumsum(), f)    unwrap(x)                   histogram(x, 50)            digitize(x, f.sort())
    searchsorted(y.sort(), x)   median(x)                   percentile(x, 30)           quantile(R, 0.3, axis=0)
    nanmedian(x)                nanmean(x)                  nansum(x)                   nanstd(x)
    bincount(i, length=1000)    cov(T)                      corrcoef(T)                 gradient(s)
    trapezoid(s)                diff(s)                     ediff1d(s)                  cumsum(x)
    cumprod(x)                  nancumsum(x)                sort(x)                     argsort(x)
    lexsort((x, k))             partition(x, 100)           argpartition(x, 100)        sinc(x)
    i0(x)                       logaddexp(x, y)             logaddexp2(x, y)            hypot(x, y)
    arctan2(x, y)               heaviside(x, y)             ldexp(x, i % 8)             frexp(x)
    modf(x)                     divmod(x, a)                fmod(x, a)                  remainder(x, a)
    float_power(a, y)           cbrt(x)                     nextafter(x, y)             exp2(x)
    expm1(x)                    log1p(a)                    log2(a)                     log10(a)
    arcsinh(x)                  arccosh(w)                  arctanh(p)                  sinh(x)
    tan(x)                      tanh(x)                     sin(x)                      exp(x)
    signbit(x)                  copysign(x, y)              rint(x)                     round(x, 2)
    nan_to_num(x)               clip(x, -1, 1)              cross(E, E)                 kron(G[:16, :16], G[:16, :16])
    einsum("ij,kj->ik", T, T)   tensordot(M, M)             vander(v, 64)               tril(M)
    fft.fft(s)                  fft.rfft(s)                 fft.fft2(I)                 linalg.norm(M)
    linalg.pinv(G)              linalg.matrix_power(G, 5)   linalg.matrix_rank(G)       linalg.lstsq(T, v)
    linalg.slogdet(M)           linalg.eigh(H)              linalg.eigvals(G)           linalg.multi_dot([T, h, h])
    roll(x, 3)                  flip(x)                     rot90(I)                    repeat(x, 3)
    tile(x, 3)                  pad(I, 3, mode="reflect")   pad(I, 3)                   take(x, i)
    take_along_axis(R, C[:, None], 1)                       where(bits, x, y)           unpackbits(packbits(bits))
    isin(i, C)                  unique(i, size=1000)        nonzero(bits, size=60000)   count_nonzero(x)
    argmax(x)                   argmax(R, 1)                ptp(R, 0)                   var(x)
    average(x, weights=a)       logspace(0, 1, 1000)        array_split(x, 7)           apply_along_axis(jnp.sort, 1, R)
    piecewise(x, [x < 0, x >= 0], [0.0, 1.0])               select([x < 0, x > 1], [x, y])
lax
    top_k(x, 10)[0]             top_k(x, 1000)[0]           top_k(R, 5)[0]              top_k(i, 10)
    top_k(i, 1000)              top_k(R, 5)                 top_k(x.astype("bfloat16"), 10)  top_k(x.astype("float16"), 10)
    top_k(i.astype("int8"), 10)  top_k(x.astype("float64"), 10)  top_k(i.astype("uint32"), 10)  sort(i)
    cumlogsumexp(x)             cummax(x)                   population_count(i)         clz(i)
    approx_max_k(x, 10)[0]      igamma(a, b)                regularized_incomplete_beta(a, b, p)  erf_inv(p)
ops
    segment_sum(x, i, 1000)     segment_sum(x, j, 1000, indices_are_sorted=True)        segment_prod(x, i, 1000)
    segment_max(x, i, 1000)     segment_min(x, i, 1000)     segment_sum(R, C, 100)      segment_prod(R, C, 100)
    segment_max(R, C, 100)      segment_sum(x, i, 1000, bucket_size=10)                 segment_sum(x, i, 50000)
nn
    one_hot(i[:1000], 100)      one_hot(i, 10)              one_hot(C, 100, axis=0)     relu(x)
    gelu(x)                     gelu(x, False)              silu(x)                     sigmoid(x)
    softplus(x)                 log_sigmoid(x)              elu(x)                      selu(x)
    celu(x)                     mish(x)                     glu(x)                      hard_tanh(x)
    hard_sigmoid(x)             hard_silu(x)                hard_swish(x)               leaky_relu(x)
    squareplus(x)               relu6(x)                    soft_sign(x)                sparse_plus(x)
    sparse_sigmoid(x)           log1mexp(a)                 logmeanexp(x)               softmax(R)
    log_softmax(R)              logsumexp(R, 1)             standardize(R)              dot_product_attention(A, A, A)
image
    resize(P, (8, 32, 32, 3), "linear")                     resize(P, (8, 128, 128, 3), "linear")
    resize(P, (8, 128, 128, 3), "cubic")                    resize(P, (8, 128, 128, 3), "nearest")
    resize(P, (8, 100, 100, 3), "lanczos3")
    scale_and_translate(P, (8, 50, 50, 3), (1, 2), f[:2] + 2, f[:2], "linear")
scipy.ndimage
    map_coordinates(I, L, 1)    map_coordinates(I, L, 0)    map_coordinates(I, L, 1, mode="reflect")
scipy.fft
    dct(R)                      idct(R)                     dctn(I)                     idctn(I)
scipy.integrate
    trapezoid(R)
scipy.interpolate
    RegularGridInterpolator((jnp.arange(256.0), jnp.arange(256.0)), I, bounds_error=False)(L.T)
scipy.cluster.vq
    vq(D, D[:50])
scipy.spatial.transform
    Rotation.from_euler("xyz", E).as_quat()                 Rotation.from_euler("zyx", E).as_matrix()
    Rotation.from_quat(Q).as_matrix()                       Rotation.from_quat(Q).as_euler("xyz")
    Rotation.from_rotvec(E).as_quat()                       Rotation.from_quat(Q).as_rotvec()
    Rotation.from_matrix(Rotation.from_quat(Q).as_matrix()).as_quat()
    (Rotation.from_quat(Q) * Rotation.from_quat(Q)).as_quat()  Rotation.from_quat(Q[0]).apply(E)
    Rotation.from_rotvec(E).magnitude()                     Rotation.from_euler("z", E[:, 0]).as_quat()
experimental.sparse
    csr @ D                      coo @ D
    csr @ D[:, 0]                coo @ D[:, 0]
    D.T @ coo                csr.todense()            coo.todense()            coo.T.todense()
    bcoo_concatenate([coo, coo], dimension=0).data    bcoo_concatenate([coo, coo], dimension=1).indices
    (coo * 2.0).data         coo.sum(0).todense()     bcoo_reduce_sum(coo, axes=(1,)).todense()
    coo.sort_indices().data  coo.sum_duplicates(nse=25000).data                   bcoo_extract(coo, S).data
    bcoo_multiply_dense(coo, S)                          BCSR.from_bcoo(coo).data
    coo[5:500, 3:400].todense()                          bcoo_transpose(coo, permutation=(1, 0)).data
gradients
    special.gammainc(a, b) by a  special.gammainc(a, b) by b  special.betainc(a, b, p) by a  special.betainc(a, b, p) by p
    special.gammaln(a) by a  special.digamma(a) by a  special.erf(x) by x  special.erfinv(p) by p
    special.logit(p) by p  special.expit(x) by x  special.xlogy(a, b) by b  special.rel_entr(a, b) by a
    special.kl_div(a, b) by a  special.ndtr(x) by x  special.log_ndtr(x) by x  special.ndtri(p) by p
    special.logsumexp(x) by x  special.gamma(a) by a  special.betaln(a, b) by a  special.i0e(x) by x
    special.poch(a, b) by a  special.i1e(x) by x  special.entr(p) by p  special.expi(x) by x
    stats.norm.cdf(x) by x  stats.norm.logpdf(x, y, a) by a  stats.norm.logcdf(x) by x  stats.norm.ppf(p) by p
    stats.gamma.cdf(a, b) by a  stats.gamma.cdf(a, b) by b  stats.gamma.logpdf(a, b) by b  stats.gamma.pdf(a, b) by b
    stats.beta.logpdf(p, a, b) by a  stats.beta.cdf(p, a, b) by p  stats.cauchy.logpdf(x) by x  stats.cauchy.cdf(x) by x
    stats.poisson.logpmf(k, a) by a  stats.poisson.pmf(k, a) by a  stats.poisson.cdf(k, a) by a  stats.binom.logpmf(k, n, p) by p
    stats.t.logpdf(x, a) by x  stats.t.logpdf(x, a) by a  stats.chi2.cdf(a, b) by a  stats.laplace.logpdf(x) by x
    stats.logistic.logpdf(x) by x  stats.vonmises.logpdf(x, a) by x  stats.truncnorm.logpdf(x, -1, 2) by x  stats.expon.logpdf(a) by a
    stats.dirichlet.logpdf(p[:3] / p[:3].sum(), a[:3]) by a  stats.multivariate_normal.logpdf(T, T[0], h) by h
    ops.segment_sum(x, i, 1000) by x  ops.segment_max(x, i, 1000) by x
    linalg.expm(G) by G  linalg.eigh(h)[1] by h  linalg.svd(G)[1] by G  linalg.cholesky(H) by H
    linalg.solve(M, v) by M  linalg.sqrtm(h) by h  linalg.polar(G)[0] by G  linalg.lu(G)[2] by G
    signal.convolve(s, f) by f  signal.stft(s)[2] by s  signal.fftconvolve(s, F) by s  jnp.convolve(s, f) by f
    image.resize(P, (8, 128, 128, 3), "linear") by P  ndimage.map_coordinates(I, L, 1) by I
    nn.gelu(x) by x  nn.softmax(R) by R  nn.one_hot(C, 100) @ D[:100, :50] by D  nn.dot_product_attention(A, A, A) by A
    jnp.sort(x) by x  jnp.median(x) by x  jnp.interp(x, f.cumsum(), f) by f  jnp.sinc(x) by x
    Rotation.from_euler("xyz", E).as_quat() by E  Rotation.from_quat(Q).as_matrix() by Q
    coo @ D by D  csr @ D by D  lax.top_k(x, 10)[0] by x  jnp.cumprod(x) by x
"""


def lines() -> Iterator[tuple[str, str]]:
    """Modules and calls."""
    module = ""
    for line in CALLS.splitlines():
        if line and not line[0].isspace():
            module = line.strip()
        for call in line.strip().split("  ") if line[:1].isspace() else ():
            if call.strip():
                yield module, call.strip()


# ---- measuring -----------------------------------------------------------------------------------


def namespace(root: str, module: str) -> dict[str, Any]:
    """What the calls of a module may name."""
    find = lambda name: importlib.import_module(f"{root}.{name}")
    names = {name: find(name) for name in ("lax", "nn", "ops", "image")}
    names |= {name: find(f"scipy.{name}") for name in ("special", "stats", "linalg", "signal", "ndimage")}
    names |= {"jnp": find("numpy"), "Rotation": find("scipy.spatial.transform").Rotation}
    if module != "gradients":
        home = find(module)
        if module == "scipy.stats":
            importlib.import_module(f"{root}.scipy.stats.t")
        names |= {name: getattr(home, name) for name in dir(home) if not name.startswith("__")}
    return names


def argument(name: str, root: str, double: bool) -> Any:
    value = values(name)
    if value.dtype == np.float64 and not double:
        value = value.astype(np.float32)
    if name in ("coo", "csr"):
        sparse = importlib.import_module(f"{root}.experimental.sparse")
        return (sparse.BCOO if name == "coo" else sparse.BCSR).fromdense(value)
    return importlib.import_module(f"{root}.numpy").asarray(value)


@functools.cache
def values(name: str) -> np.ndarray:
    return ARGUMENTS[name]()


def compiled(root: str, module: str, call: str, double: bool) -> Callable[[], Any]:
    """A call of the compiled function, which waits for its results."""
    ad, jnp = importlib.import_module(root), importlib.import_module(f"{root}.numpy")
    text, _, by = call.partition(" by ")
    code = compile(text, call, "eval")
    names = namespace(root, module)
    taken = [n for n in code.co_names if n in ARGUMENTS]
    fun = lambda *xs: eval(code, names, dict(zip(taken, xs)))
    if by:
        value = fun
        weights = lambda out: jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)

        def weighted(*xs: Any) -> Any:
            out = value(*xs)
            return (out * weights(out)).sum()

        fun = ad.grad(weighted, taken.index(by))
    jitted, args = ad.jit(fun), [argument(n, root, double) for n in taken]
    return lambda: ad.block_until_ready(jitted(*args))


def difference(ad: Any, ours: Any, theirs: Any) -> float:
    """The largest difference of two results, relative to the largest number of the second."""
    out = 0.0
    pairs = zip(ad["pullback"].tree.leaves(ours), ad["jax"].tree.leaves(theirs), strict=True)
    for x, y in pairs:
        x, y = (np.asarray(v).astype(np.complex128 if np.iscomplexobj(v) else np.float64) for v in (x, y))
        finite = np.isfinite(y) & np.isfinite(x)
        size = np.abs(y[finite]).max(initial=0.0)
        out = max(
            out, np.abs(x - y)[finite].max(initial=0.0) / (size or 1.0), float((np.isnan(x) != np.isnan(y)).any())
        )
    return float(out)


def alternate(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Seconds and processor seconds of each call; each goes first as often as the other."""
    times: dict[str, list[tuple[float, float]]] = {root: [] for root in calls}
    for call in calls.values():
        call()
    end, order = time.perf_counter() + seconds, list(calls)
    while time.perf_counter() < end or len(times["pullback"]) < 6:
        order.reverse()
        for root in order:
            start, of_processors = time.perf_counter(), time.process_time()
            calls[root]()
            times[root].append((time.perf_counter() - start, time.process_time() - of_processors))
    return times


def measure(module: str, call: str, seconds: float, double: bool) -> dict[str, Any]:
    calls = {root: compiled(root, module, call, double) for root in ("pullback", "jax")}
    answers = {root: f() for root, f in calls.items()}
    ad = {root: importlib.import_module(root) for root in calls}
    error = difference(ad, answers["pullback"], answers["jax"])
    times = alternate(calls, seconds)
    medians = {root: [statistics.median(t) for t in zip(*pairs)] for root, pairs in times.items()}
    ratios = [ours / theirs for ours, theirs in zip(medians["pullback"], medians["jax"])]
    run = {root: both[0] for root, both in medians.items()}
    return {"module": module, "call": call, "run": run, "ratios": ratios, "error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="run everything once")
    parser.add_argument("--rounds", type=float, default=0.4, help="seconds for each function")
    parser.add_argument("--only", default="", help="functions whose module and call match this regular expression")
    parser.add_argument("--float64", action="store_true", help="measure in double precision")
    options = parser.parse_args()
    for root in ("pullback", "jax"):
        ad = importlib.import_module(root)
        if options.float64:
            ad.config.update("jax_enable_x64" if root == "jax" else "enable_x64", True)
    slow = []
    for module, call in lines():
        if not re.search(options.only, f"{module}: {call}"):
            continue
        try:
            row = measure(module, call, 0.0 if options.smoke else options.rounds, options.float64)
        except Exception as error:
            print(f"{module}: {call}: {type(error).__name__}: {str(error).splitlines()[0][:150]}", flush=True)
            continue
        ours, theirs = (row["run"][root] * 1e3 for root in ("pullback", "jax"))
        ratios = " ".join(f"{r:6.2f}" for r in row["ratios"])
        line = f"{ratios}  {ours:9.3f} ms of {theirs:9.3f}, differs by {row['error']:.0e}  {module}: {call}"
        print(line, flush=True)
        if min(row["ratios"]) > TARGET:
            slow.append((min(row["ratios"]), line))
    print(f"\nAbove the target of {TARGET}:")
    for _, line in sorted(slow, reverse=True):
        print(line)


if __name__ == "__main__":
    main()
