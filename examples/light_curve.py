"""A planet before its star: a transit light curve fitted without a matrix.

When the planet HD 209458 b passes before its star, 1.6 % of the light is missing for three hours. How much,
how long and in which shape says how large the planet is, how it passes, and how much darker the star is
at its limb. The model is the light of the star's rings of radius r that the planet, of radius k, covers
from a distance z of the centres (in radii of the star),

    F(z) = 1 − ∫ I(r) 2 κ(r) r dr / ∫ I(r) 2π r dr,   cos κ = (z² + r² − k²)/(2zr),   I = 1 − u₁(1−μ) − u₂(1−μ)²

with μ = √(1 − r²), by Gauss's rule; r = m − h cos φ takes the square roots at both ends away. The star's
own variation, six cosines, is unknown, too.

The fit is Levenberg's and Marquardt's, on linear maps: `linearize` gives the residuals r and their
derivative J, and the step solves (JᵀJ + λ) δ = −Jᵀr by conjugate gradients, from products with J and Jᵀ.

K. Mandel, E. Agol, "Analytic light curves for planetary transit searches", Astrophys. J. 580 (2002);
T. M. Brown et al., Astrophys. J. 552 (2001): the transit; D. W. Marquardt, J. SIAM 11 (1963).
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, COLOURS, GREY, Check, Outcome
from pullback import lax, random
from pullback.flatten_util import ravel_pytree
from pullback.scipy.sparse.linalg import cg

PERIOD = 3.52474859 * 24  # hours
NOISE = 1.1e-4  # of an exposure, in fluxes of the star
RULE = np.polynomial.legendre.leggauss(40)
# Hours; radius, impact parameter and distance of the planet in radii of the star; u₁ and u₂.
TRUE = {"middle": 0.02, "k": 0.1207, "impact": 0.507, "distance": 8.76, "limb": np.array([0.30, 0.32])}
START = {"middle": 0.0, "k": 0.1, "impact": 0.4, "distance": 8.0, "limb": np.array([0.2, 0.2])}


def flux(z, k, limb):
    """The light that is left, for planets of radius k at distances z > k."""
    covers = z < 1 + k
    z = jnp.where(covers, z, 1.0)  # one with finite derivatives
    inner, outer = z - k, jnp.minimum(1.0, z + k)
    phi = np.pi / 2 * (1 + RULE[0])
    middle, half = (outer + inner)[:, None] / 2, (outer - inner)[:, None] / 2
    r = middle - half * np.cos(phi)
    kappa = jnp.arccos((z[:, None] ** 2 + r**2 - k**2) / (2 * z[:, None] * r))
    dark = 1 - jnp.sqrt(1 - r**2)
    light = 1 - limb[0] * dark - limb[1] * dark**2
    covered = jnp.sum(light * 2 * kappa * r * half * np.sin(phi) * (np.pi / 2 * RULE[1]), 1)
    return 1 - jnp.where(covers, covered, 0.0) / (np.pi * (1 - limb[0] / 3 - limb[1] / 6))


def model(unknown, hours):
    angle = 2 * np.pi * (hours - unknown["middle"]) / PERIOD
    along = unknown["distance"] * jnp.sin(angle)
    z = jnp.sqrt(along**2 + (unknown["impact"] * jnp.cos(angle)) ** 2)
    phase = (hours - hours[0]) / (hours[-1] - hours[0])
    waves = jnp.cos(np.pi * phase[:, None] * np.arange(6))
    return flux(z, unknown["k"], unknown["limb"]) + NOISE * waves @ unknown["star"]


def levenberg_marquardt(residuals, start, tol=1e-9, maxiter=100):
    """The tree where the sum of squares is least, half that sum; and, last, the steps that were tried."""

    cost = lambda x: jnp.sum(residuals(x) ** 2) / 2

    def advance(state):
        x, best, damping, _, count = state
        r, J = pb.linearize(residuals, x)
        normal = lambda v: pb.tree.map(lambda a, b: a + damping * b, J.T(J(v))[0], v)
        (slope,) = J.T(r)
        step, _ = cg(normal, pb.tree.map(jnp.negative, slope), tol=1e-10, maxiter=200)
        new = pb.tree.map(jnp.add, x, step)
        better = (value := cost(new)) < best
        x = pb.tree.map(lambda a, b: jnp.where(better, a, b), new, x)
        # What the linear model says is left to gain.
        gain = -sum(jnp.vdot(s, d) for s, d in zip(*map(pb.tree.leaves, (slope, step)))) / 2
        damping = jnp.where(better, damping / 5, damping * 4)
        return x, jnp.where(better, value, best), damping, gain, count + 1

    going = lambda state: (state[3] > tol * state[1]) & (state[4] < maxiter)
    return lax.while_loop(going, advance, (start, cost(start), 1.0, jnp.inf, 0))


def overlap(z, k):
    """The part of a uniform disc of radius 1 that one of radius k covers, as two segments of circles."""
    a, b = np.arccos((z**2 + k**2 - 1) / (2 * z * k)), np.arccos((z**2 + 1 - k**2) / (2 * z))
    return (k**2 * a + b - np.sqrt(4 * z**2 - (1 + z**2 - k**2) ** 2) / 2) / np.pi


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    from scipy.optimize import least_squares

    hours = np.linspace(-3.5, 3.5, 150 if small else 600)
    star_key, noise_key = random.split(random.key(2))
    true = {**TRUE, "star": 3 * random.normal(star_key, (6,)) / (1 + jnp.arange(6))}
    start = {**START, "star": jnp.zeros(6)}
    seen = model(true, hours) + NOISE * random.normal(noise_key, hours.shape)

    def residuals(unknown):  # the star's variation is known to be small
        return jnp.concatenate([(model(unknown, hours) - seen) / NOISE, unknown["star"] / 5])

    fit, least, *_, count = pb.jit(lambda start: levenberg_marquardt(residuals, start))(start)
    vector, tree_of = ravel_pytree(fit)
    of_vector = pb.jit(lambda v: residuals(tree_of(v)))
    _, J = pb.linearize(of_vector, vector)
    error = tree_of(errors := np.sqrt(np.diag(np.linalg.inv((J.T @ J).to_matrix()))))
    first, tight = ravel_pytree(start)[0], {"xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12}
    theirs = least_squares(lambda v: np.asarray(of_vector(v)), first, jac="3-point", x_scale="jac", **tight)
    z = np.linspace(0.89, 1.11, 50)
    uniform = flux(jnp.array(z), 0.12, jnp.zeros(2))
    best, slopes = model(fit, hours), pb.jacfwd(model)(fit, hours)

    def draw(figure):
        axes = figure.subplot_mosaic([["light", "slopes"], ["rest", "slopes"]], height_ratios=(3, 1))
        axes["light"].plot(hours, seen, ".", color=GREY, ms=2.5, label="exposures")
        axes["light"].plot(hours, best, color=BLUE, label="fit")
        axes["light"].set(ylabel="light, of that of the star")
        axes["light"].legend(fontsize=8)
        axes["rest"].plot(hours, 1e6 * (seen - best), ".", color=GREY, ms=2.5)
        axes["rest"].set(xlabel="hours from the middle of the transit", ylabel="rest in 10⁻⁶")
        for colour, name in zip(COLOURS, ("middle", "k", "impact", "distance")):
            axes["slopes"].plot(hours, slopes[name] / np.abs(slopes[name]).max(), color=colour, label=name)
        axes["slopes"].set(xlabel="hours from the middle of the transit", ylabel="derivative, of its largest value")
        axes["slopes"].legend(fontsize=8)

    off = np.abs((vector - theirs.x) / errors).max()
    scipy = "scipy.optimize.least_squares, with differences"
    names = {"k": "radius of the planet", "impact": "impact parameter", "distance": "distance"}
    return Outcome(
        checks=[
            Check("unknowns, largest difference in standard errors", off, 0, 1e-3, scipy),
            Check("half the sum of squares", least, theirs.cost, 1e-6, scipy),
            Check(
                "light of a uniform star",
                np.abs(uniform - 1 + overlap(z, 0.12)).max(),
                0,
                1e-12,
                "area of two segments",
            ),
            Check("radius of the planet", fit["k"], TRUE["k"], 3 * error["k"], "what was simulated, 3 standard errors"),
        ],
        draw=draw,
        facts={
            **{f"{name}, in radii of the star": f"{fit[k]:.4f} ± {error[k]:.4f}" for k, name in names.items()},
            "steps": f"{count}, for {len(vector)} unknowns and {len(hours)} exposures",
        },
    )
