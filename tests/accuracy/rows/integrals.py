"""Error functions and exponential integrals: derivatives, complex arguments, Owen's T."""

from __future__ import annotations

import mpmath as mp
from scipy import special as scipy

import pullback.lax as lax
from pullback.scipy import special
from tests.accuracy.table import Row, linear, signed, spaced

POSITIVE = [*spaced(1e-6, 0.2, 8), *linear(0.25, 4, 16), *spaced(4.3, 26, 8)]
FAR = [*POSITIVE, *spaced(28, 1e4, 6)]
SMALL = [x for x in POSITIVE if x < 9]
UNIT = signed([*spaced(1e-6, 0.1, 6), *linear(0.2, 0.9375, 12), 0.9990234375, 0.9999847412109375])
PLANE = signed([2.0**-10, 0.125, 0.75, 1.5, 4.0, 9.0, 40.0])


def _row(name, reference, grids, slope=None, **options):
    options = {"scipy": getattr(scipy, name, None), "jax": f"scipy.special.{name}", "conditioned": True} | options
    return Row(name, getattr(special, name), reference, grids, reference_derivatives=[slope], **options)


def _part(name, which, reference, grids, slope=None, **options):
    """One of two results."""
    return Row(
        f"{name} {'SC'[which] if name == 'fresnel' else ('Si', 'Ci')[which]}",
        lambda x: getattr(special, name)(x)[which],
        reference,
        grids,
        scipy=lambda x: getattr(scipy, name)(x)[which],
        jax=lambda j: lambda x: getattr(j.scipy.special, name)(x)[which],
        reference_derivatives=[slope],
        **options,
    )


def _complex(name, function, reference, part, grids, jax, **options):
    """The real or imaginary part of a function of x + iy."""
    pick = (lambda w: w.real) if part == "real" else (lambda w: w.imag)
    value = lambda x, y: pick(mp.mpmathify(reference(mp.mpc(x, y))))
    return Row(
        f"{name}, {part} part",
        lambda x, y: getattr(function(lax.complex(x, y)), part),
        value,
        grids,
        (0, 1),
        scipy=lambda x, y: getattr(getattr(scipy, name)(x + 1j * y), part),
        jax=jax,
        conditioned=True,
        **options,
    )


def _wofz_of_jax(part):
    return lambda j: lambda x, y: getattr(j.scipy.special.wofz(j.lax.complex(x, y)), part)


def _faddeeva(z):
    return mp.exp(-z * z) * mp.erfc(-1j * z)


def _owens_t(h, a):
    return mp.quad(lambda x: mp.exp(-h * h * (1 + x * x) / 2) / (1 + x * x), mp.linspace(0, a, 5)) / (2 * mp.pi)


def _dawson(x):
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


def _erfcx(x):
    return mp.exp(x * x) * mp.erfc(x)


ROWS = [
    _row("erf", mp.erf, [signed(SMALL)], lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x)),
    _row("erfc", mp.erfc, [signed(SMALL)], lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x)),
    _row("erfcx", _erfcx, [[*(-x for x in SMALL[::-1]), *FAR]], lambda x: 2 * x * _erfcx(x) - 2 / mp.sqrt(mp.pi)),
    _row("erfinv", mp.erfinv, [UNIT], lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(mp.erfinv(x) ** 2)),
    _row(
        "erfcinv",
        lambda p: -mp.erfinv(p - 1),
        [[*spaced(1e-30, 0.1, 12), *linear(0.2, 1.875, 12), 1 - 2.0**-10]],
        lambda p: -mp.sqrt(mp.pi) / 2 * mp.exp(mp.erfinv(p - 1) ** 2),
    ),
    _row("dawsn", _dawson, [signed(FAR)], lambda x: 1 - 2 * x * _dawson(x)),
    _row("exp1", mp.e1, [POSITIVE], lambda x: -mp.exp(-x) / x),
    _row("expi", mp.ei, [signed(POSITIVE)], lambda x: mp.exp(x) / x),
    Row(
        "expn",
        special.expn,
        mp.expint,
        [[0.0, 1.0, 2.0, 5.0, 30.0], POSITIVE],
        (1,),
        scipy=scipy.expn,
        jax="scipy.special.expn",
        reference_derivatives=[lambda n, x: -mp.expint(n - 1, x)],
    ),
    _row(
        "spence",
        lambda x: mp.re(mp.polylog(2, 1 - x)),
        [[*FAR, 1 - 2.0**-10, 1 + 2.0**-10, 1 - 2.0**-20, 1 + 2.0**-20]],
        lambda x: mp.log(x) / (1 - x) if x != 1 else mp.mpf(-1),
    ),
    _part("fresnel", 0, mp.fresnels, [signed(FAR)], lambda x: mp.sin(mp.pi * x * x / 2), conditioned=True),
    _part("fresnel", 1, mp.fresnelc, [signed(FAR)], lambda x: mp.cos(mp.pi * x * x / 2), conditioned=True),
    _part("sici", 0, mp.si, [signed(FAR)], mp.sinc, conditioned=True),
    _part("sici", 1, mp.ci, [FAR], lambda x: mp.cos(x) / x, conditioned=True),
    Row(
        "owens_t",
        special.owens_t,
        _owens_t,
        [[0.0, 2.0**-10, 0.25, 1.0, 2.5, 6.0, 12.0], signed([2.0**-10, 0.25, 0.875, 1.0, 1.5, 7.0, 40.0])],
        (0, 1),
        scipy=scipy.owens_t,
        jax="scipy.special.owens_t",
        conditioned=True,
        reference_derivatives=[
            lambda h, a: -mp.exp(-h * h / 2) * mp.erf(a * h / mp.sqrt(2)) / (2 * mp.sqrt(2 * mp.pi)),
            lambda h, a: mp.exp(-h * h * (1 + a * a) / 2) / (1 + a * a) / (2 * mp.pi),
        ],
    ),
    *(
        _complex(
            "wofz",
            special.wofz,
            _faddeeva,
            part,
            [PLANE, [y for y in PLANE if y > -2]],
            _wofz_of_jax(part),
            domain=lambda x, y: y > 0 or abs(x) < 9,
        )
        for part in ("real", "imag")
    ),
]
