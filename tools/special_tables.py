"""Writes `src/pullback/lax/approximations.txt`: the polynomials that compiled special functions are made of.

Each line has a name and the coefficients of t⁰, t¹, ... for t in [-1, 1], shortest first. A
polynomial is the Chebyshev interpolant at 56 points, computed with 34 digits, cut where the rest is
below an eighth of a rounding error, relative to the smallest value; names with `/32` are the same
for float32. `python tools/special_tables.py` takes a few minutes, and needs mpmath.

What is approximated stands in `FITS`: a function of an argument that depends on t linearly (`linear`)
or by its reciprocal (`reciprocal`). `pullback.lax.approximations` has the same two maps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp

mp.mp.dps = 34
POINTS = 56
INFINITY = mp.inf


def linear(low: Any, high: Any) -> Callable[[Any], Any]:
    low, high = mp.mpf(low), mp.mpf(high)
    return lambda t: low + (high - low) * (1 + t) / 2


def reciprocal(low: Any, high: Any) -> Callable[[Any], Any]:
    """From `high`, at t = -1, to `low`, at t = 1."""
    above = mp.mpf(0) if high == INFINITY else 1 / mp.mpf(high)
    return lambda t: 1 / (above + (1 / mp.mpf(low) - above) * (1 + t) / 2)


def moebius(k: int) -> Callable[[Any], Any]:
    """t = (x - k)/(x + k), which takes [0, ∞) to [-1, 1]."""
    return lambda t: k * (1 + t) / (1 - t)


def chebyshev(f: Callable[[Any], Any]) -> tuple[list[Any], Any]:
    """Coefficients of the interpolant of `f` by Chebyshev polynomials, and the least |f|."""
    angles = [mp.pi * (k + mp.mpf(1) / 2) / POINTS for k in range(POINTS)]
    values = [f(mp.cos(a)) for a in angles]
    found = [mp.fsum(y * mp.cos(n * a) for y, a in zip(values, angles)) * 2 / POINTS for n in range(POINTS)]
    found[0] /= 2
    return found, min(abs(y) for y in values)


def monomials(c: list[Any]) -> list[Any]:
    """Coefficients of powers, from those of Chebyshev polynomials."""
    before, now = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    out = [mp.mpf(0)] * max(len(c), 2)
    for n, a in enumerate(c):
        for i, b in enumerate(before):
            out[i] += a * b
        following = [mp.mpf(0), *[2 * b for b in now]]
        for i, b in enumerate(before):
            following[i] -= b
        before, now = now, following
        del n
    return out


def cut(c: list[Any], tolerance: Any) -> list[Any]:
    rest, n = mp.mpf(0), len(c)
    while n > 1 and rest + abs(c[n - 1]) < tolerance:
        rest += abs(c[n - 1])
        n -= 1
    return c[:n]


def erf_inv(w: Any) -> Any:
    """erfinv(x)/x where w = -log(1 - x²)."""
    if w == 0:
        return mp.sqrt(mp.pi) / 2
    e = mp.exp(-w)
    y = e / (1 + mp.sqrt(1 - e))
    if w < 1:
        return mp.erfinv(1 - y) / (1 - y)
    z = mp.sqrt(w - mp.log(mp.sqrt(mp.pi * w)))
    for _ in range(60):
        d = (mp.erfc(z) / y - 1) / (-2 / mp.sqrt(mp.pi) * mp.exp(-z * z) / y)
        h = d / (1 + z * d)
        z -= h
        if abs(h) < mp.mpf(10) ** -33 * z:
            break
    return z / (1 - y)


def dawson(x: Any) -> Any:
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


def erfcx(x: Any) -> Any:
    if x > 1000:
        return (1 - 1 / (2 * x * x) + 3 / (4 * x**4) - 15 / (8 * x**6)) / (mp.sqrt(mp.pi) * x)
    return mp.exp(x * x) * mp.erfc(x)


EI_ZERO, CI_ZERO = mp.findroot(mp.ei, 0.3725), mp.findroot(mp.ci, 0.6165)


def sici_f(x: Any) -> Any:
    return x * (mp.ci(x) * mp.sin(x) + (mp.pi / 2 - mp.si(x)) * mp.cos(x))


def sici_g(x: Any) -> Any:
    return x * x * (-mp.ci(x) * mp.cos(x) + (mp.pi / 2 - mp.si(x)) * mp.sin(x))


def fresnel_f(x: Any) -> Any:
    s, c, a = mp.mpf(1) / 2 - mp.fresnels(x), mp.mpf(1) / 2 - mp.fresnelc(x), mp.pi * x * x / 2
    return mp.pi * x * (s * mp.cos(a) - c * mp.sin(a))


def fresnel_g(x: Any) -> Any:
    s, c, a = mp.mpf(1) / 2 - mp.fresnels(x), mp.mpf(1) / 2 - mp.fresnelc(x), mp.pi * x * x / 2
    return mp.pi**2 * x**3 * (s * mp.sin(a) + c * mp.cos(a))


def of_root(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda y: f(mp.sqrt(y))


def atanh_rest(r: Any) -> Any:
    return (mp.atanh(r) / r - 1) / (r * r) if r else mp.mpf(1) / 3


def phase(n: int, x: Any) -> tuple[Any, Any]:
    """P and Q in J_n(x) = √(2/πx) (P cos χ - Q sin χ), χ = x - nπ/2 - π/4 (DLMF 10.17.3)."""
    chi = x - n * mp.pi / 2 - mp.pi / 4
    j, y, root = mp.besselj(n, x), mp.bessely(n, x), mp.sqrt(mp.pi * x / 2)
    return root * (j * mp.cos(chi) + y * mp.sin(chi)), root * (y * mp.cos(chi) - j * mp.sin(chi)) * x


PSI_ZERO = mp.findroot(mp.digamma, "1.4616321449683623")


def log_gamma_rest(x: Any) -> Any:
    if x == INFINITY or x > 1e20:
        return mp.mpf(1) / 12
    return x * (mp.loggamma(x) - (x - mp.mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2)


def gamma_ratio(m: Any) -> Any:
    if m == INFINITY or m > 1e30:
        return mp.mpf(1)
    return mp.exp(mp.loggamma(m + mp.mpf(1) / 2) - mp.loggamma(m)) / mp.sqrt(m)


J0_ZERO, J1_ZERO = mp.besseljzero(0, 1), mp.besseljzero(1, 1)

FITS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "erfcx_rest": (lambda x: ((1 + 2 * x) * erfcx(x) - 1) * (x + 3) / (2 * x), moebius(3)),
    "dawson_near": (of_root(lambda x: ((1 + 2 * x * x) * dawson(x) / x - 1) * (1 + 2 * x * x) / (x * x)), linear(0, 9)),
    "dawson_middle": (of_root(lambda x: 2 * x * dawson(x)), reciprocal(9, 36)),
    "dawson_far": (of_root(lambda x: 2 * x * dawson(x)), reciprocal(36, INFINITY)),
    "erf_inv_near": (erf_inv, linear(0, 6)),
    "erf_inv_far": (lambda s: erf_inv(s * s) / s, reciprocal("2.4", "6.1")),
    "erfc_inv_far": (lambda s: erf_inv(s * s) / s, reciprocal(6, 28)),
    "ein": (lambda x: (mp.e1(x) + mp.log(x) + mp.euler) / x, linear(0, "0.6")),
    "e1_near": (lambda x: x * mp.exp(x) * mp.e1(x), reciprocal("0.6", 3)),
    "e1_far": (lambda x: x * mp.exp(x) * mp.e1(x), reciprocal(3, INFINITY)),
    "ei_near": (lambda x: (mp.ei(x) - mp.log(x / EI_ZERO)) / (x - EI_ZERO) * mp.exp(-x / 2), linear(0, 6)),
    "ei_middle": (lambda x: x * mp.exp(-x) * mp.ei(x), reciprocal(6, 16)),
    "ei_far": (lambda x: x * mp.exp(-x) * mp.ei(x), reciprocal(16, INFINITY)),
    "si_near": (of_root(lambda x: mp.si(x) / x), linear(0, 4)),
    "ci_near": (lambda x: (mp.ci(x) - mp.log(x / CI_ZERO)) / (x - CI_ZERO), linear(0, 2)),
    **{
        f"sici_{n}_{k}": (of_root(f), reciprocal(*bounds))
        for n, f in (("f", sici_f), ("g", sici_g))
        for k, bounds in enumerate(((4, 16), (16, 144), (144, INFINITY)))
    },
    "fresnel_s": (lambda y: mp.fresnels(y**0.25) / y**0.75, linear(0, "6.5536")),
    "fresnel_c": (lambda y: mp.fresnelc(y**0.25) / y**0.25, linear(0, "6.5536")),
    "fresnel_f": (of_root(fresnel_f), reciprocal("2.56", INFINITY)),
    "fresnel_g": (of_root(fresnel_g), reciprocal("2.56", INFINITY)),
    "i0_near": (of_root(lambda x: (mp.besseli(0, x) - 1) / (x * x)), linear(0, 9)),
    "i1_near": (of_root(lambda x: mp.besseli(1, x) / x), linear(0, 9)),
    "i0e_middle": (lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(0, x), reciprocal(3, 8)),
    "i1e_middle": (lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(1, x), reciprocal(3, 8)),
    "i0e_far": (lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(0, x), reciprocal(8, INFINITY)),
    "i1e_far": (lambda x: mp.sqrt(x) * mp.exp(-x) * mp.besseli(1, x), reciprocal(8, INFINITY)),
    "j0_near": (of_root(lambda x: mp.besselj(0, x) / (x * x - J0_ZERO**2)), linear(0, 16)),
    "j1_near": (of_root(lambda x: mp.besselj(1, x) / x / (x * x - J1_ZERO**2)), linear(0, 25)),
    **{
        f"j{n}_{'pq'[k]}_{r}": (of_root(lambda x, n=n, k=k: phase(n, x)[k]), reciprocal(*bounds))
        for n in (0, 1)
        for k in (0, 1)
        for r, bounds in enumerate(((16, 64), (64, INFINITY)))
    },
    "log_gamma_near": (lambda u: mp.loggamma(2 + u) / u if u else 1 - mp.euler, linear("-0.5", 1)),
    "log_gamma_far": (log_gamma_rest, reciprocal(4, INFINITY)),
    "digamma_near": (lambda x: mp.digamma(x) / (x - PSI_ZERO), linear(1, 3)),
    "digamma_far": (lambda x: x * (mp.log(x) - mp.digamma(x)), reciprocal(3, INFINITY)),
    "trigamma_near": (lambda x: x * x * mp.polygamma(1, x), linear(1, 3)),
    "trigamma_far": (lambda x: x * mp.polygamma(1, x), reciprocal(3, INFINITY)),
    "atanh_rest": (of_root(atanh_rest), linear(0, "0.16")),
    # Of numbers in [√½, √2], and of halves of log 2.
    "log_rest": (of_root(atanh_rest), linear(0, "0.0295")),
    "atan": (of_root(lambda r: mp.atan(r) / r / mp.pi if r else 1 / mp.pi), linear(0, 1)),
    "exp_near": (mp.exp, linear("-0.347", "0.347")),
    "mass_near": (lambda k: mp.rgamma(1 + k), linear(0, 1)),
    "mass_far": (lambda k: mp.exp(-log_gamma_rest(k) / k) / mp.sqrt(2 * mp.pi), reciprocal(1, INFINITY)),
    "t_near": (lambda m: mp.gamma(m + mp.mpf(1) / 2) / mp.gamma(m + 1), linear(0, 1)),
    "t_far": (gamma_ratio, reciprocal(1, INFINITY)),
    "log_gamma_low": (lambda k: mp.loggamma(1 + k) / (k * (1 - k)), linear(0, 1)),
    "log_gamma_rest": (log_gamma_rest, reciprocal(1, INFINITY)),
    "sin_pi": (of_root(lambda r: mp.sinpi(r) / r if r else mp.pi), linear(0, "0.25")),
    "cot_pi": (of_root(lambda r: mp.pi * r * mp.cospi(r) / mp.sinpi(r) / (mp.mpf(1) / 4 - r * r)), linear(0, "0.25")),
}


def main() -> None:
    path = Path(__file__).parents[1] / "src/pullback/lax/approximations.txt"
    known = {}
    if path.exists() and "--all" not in sys.argv:
        known = {line.split()[0]: line for line in path.read_text().splitlines()}
    lines = []
    for name, (f, argument) in FITS.items():
        if name not in known:
            c, least = chebyshev(lambda t, f=f, argument=argument: f(argument(t)))
            for suffix, eps in (("", mp.mpf(2) ** -53), ("/32", mp.mpf(2) ** -24)):
                numbers = monomials(cut(c, eps / 8 * least))
                known[name + suffix] = " ".join([name + suffix, *[repr(float(x)) for x in numbers]])
                spread = float(sum(map(abs, numbers)) / least)
                print(f"{name + suffix}: {len(numbers)} coefficients, spread {spread:.3g}", flush=True)
        lines += [known[name], known[name + "/32"]]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
