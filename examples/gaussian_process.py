"""Kriging: a landscape from a few hundred spot heights.

Heights y at places x are read as a Gaussian process with noise: y ~ N(m, K), K = k(x, x′) + s² I. The kernel
is Matérn's with ν = 3/2, k = σ² (1 + √3 r) exp(−√3 r), whose landscapes have slopes but no curvature, and r is
a distance measured with one length along a direction φ and another across it: terrain is longer along its
ridges. The five hyperparameters θ = (log σ, log of the two lengths, log s, φ) maximise the marginal likelihood

    log p(y | θ) = −½ yᵀ K⁻¹ y − ½ log det K − (n/2) log 2π

by BFGS with the gradient of this expression as it stands, Cholesky factor included; the Hessian at the
maximum says how well the heights determine them (Laplace's approximation). Predictions are conditional means
and variances.

The terrain is the elevation model of the Jacksboro fault in Tennessee that ships with Matplotlib. Scikit-learn's
regression, whose gradient is written by hand, checks value and gradient, and that its optimiser finds nothing
better.

C. E. Rasmussen, C. K. I. Williams, *Gaussian Processes for Machine Learning*, MIT Press 2006, chapters 2 and 5.
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import Check, Outcome
from pullback import random
from pullback.scipy.linalg import cho_solve, solve_triangular
from pullback.scipy.optimize import minimize

CELL = 0.09  # km, three arc seconds


def terrain():
    """Heights in metres on a grid of cells, north first."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("jacksboro_fault_dem.npz") as data:
        return np.asarray(data["elevation"], "float64")


def kernel(theta, x, y):
    """The covariance of heights at `x` and `y`, each with the axes place, coordinate."""
    difference = (x[:, None] - y) / jnp.exp(theta["lengths"])
    # The root has no derivative at 0, where the kernel has one: what is added is lost in the result.
    r = jnp.sqrt(3 * jnp.sum(difference**2, axis=-1) + 1e-24)
    return jnp.exp(2 * theta["amplitude"]) * (1 + r) * jnp.exp(-r)


def factor(theta, x):
    return jnp.linalg.cholesky(kernel(theta, x, x) + jnp.exp(2 * theta["noise"]) * jnp.eye(len(x)))


def log_evidence(theta, x, y):
    l = factor(theta, x)
    white = solve_triangular(l, y, lower=True)
    return -0.5 * white @ white - jnp.log(jnp.diagonal(l)).sum() - 0.5 * len(y) * jnp.log(2 * jnp.pi)


@pb.jit
def predict(theta, x, y, new):
    """Mean and standard deviation of the heights at `new`."""
    l, cross = factor(theta, x), kernel(theta, new, x)
    spread = solve_triangular(l, cross.T, lower=True)
    variance = jnp.exp(2 * theta["amplitude"]) - jnp.sum(spread**2, axis=0)
    return cross @ cho_solve((l, True), y), jnp.sqrt(variance)


def by_sklearn(theta, x, y, optimizer=None):
    """Scikit-learn's log p(y | θ) and its gradient, at θ or at what its optimiser makes of that."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    amplitude, noise = np.exp(2 * float(theta["amplitude"])), np.exp(2 * float(theta["noise"]))
    kernel = ConstantKernel(amplitude) * Matern(np.exp(theta["lengths"]), nu=1.5) + WhiteKernel(noise)
    model = GaussianProcessRegressor(kernel, alpha=0, optimizer=optimizer).fit(x, y)
    return model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)


@pb.enable_x64(True)
def main(small: bool = False) -> Outcome:
    heights = terrain()[:, 30:-30]
    rows, columns = heights.shape
    count = 120 if small else 500
    there = random.choice(random.key(0), rows * columns, (count,), replace=False)
    place = lambda i: jnp.stack([i % columns, rows - 1 - i // columns], axis=-1) * CELL  # km to the east and north
    x, mean, scale = place(there), heights.mean(), heights.std()
    y = jnp.asarray((heights.ravel()[np.asarray(there)] - mean) / scale)

    start = {"amplitude": 0.0, "lengths": jnp.log(jnp.array([2.0, 1.0])), "noise": jnp.log(0.2)}
    flat, unravel = pb.flatten_util.ravel_pytree(start)
    objective = lambda v: -log_evidence(unravel(v), x, y)
    fit = pb.jit(lambda v: minimize(objective, v, method="BFGS", tol=1e-5))(flat)
    theta = unravel(fit.x)
    covariance = jnp.linalg.inv(pb.jit(pb.hessian(objective))(fit.x))
    deviations = unravel(jnp.sqrt(jnp.diagonal(covariance)))

    value, slope = pb.jit(pb.value_and_grad(log_evidence))(start, x, y)
    theirs, their_slope = by_sklearn(start, x, y)
    # Scikit-learn's parameters are the logarithms of σ², the lengths and s².
    ours = np.array([slope["amplitude"] / 2, *slope["lengths"], slope["noise"] / 2])
    best, _ = by_sklearn(theta, x, y, "fmin_l_bfgs_b")

    fine = jnp.arange(rows * columns).reshape(rows, columns)[:: 4 if small else 1, :: 4 if small else 1]
    found = [predict(theta, x, y, place(part)) for part in jnp.array_split(fine.ravel(), 50)]
    guess, doubt = (np.concatenate(parts).reshape(fine.shape) for parts in zip(*found))
    error = guess - (heights.ravel()[np.asarray(fine)] - mean) / scale
    covered = np.mean(abs(error) < 1.96 * np.hypot(doubt, np.exp(theta["noise"])))

    def draw(figure):
        views = figure.subplots(1, 3, sharex=True, sharey=True)
        extent = (0, columns * CELL, 0, rows * CELL)
        lowest, highest = heights.min(), heights.max()
        views[0].imshow(heights, cmap="terrain", extent=extent, vmin=lowest, vmax=highest)
        views[0].plot(*place(there).T, ".", color="black", ms=1.5)
        views[0].set(title=f"measured at {count} places", ylabel="to the north, km")
        image = views[1].imshow(mean + scale * guess, cmap="terrain", extent=extent, vmin=lowest, vmax=highest)
        figure.colorbar(image, ax=views[:2], location="bottom", label="height, m", shrink=0.6)
        views[1].set(title="predicted")
        image = views[2].imshow(scale * doubt, cmap="magma_r", extent=extent)
        figure.colorbar(image, ax=views[2], location="bottom", label="standard deviation, m")
        views[2].set(title="in doubt")
        for axes in views:
            axes.set_xlabel("to the east, km")

    lengths = np.exp(theta["lengths"])
    east, north = (f"{x:.2f} ± {x * d:.2f} km" for x, d in zip(lengths, deviations["lengths"]))
    return Outcome(
        checks=[
            Check("log p(y | θ) before the fit", float(value), theirs, 1e-6, "scikit-learn"),
            Check("largest difference of its gradient", float(abs(ours - their_slope).max()), 0, 1e-6, "scikit-learn"),
            Check(
                "log p(y | θ) at its maximum", -float(fit.fun), best, 1e-4, "scikit-learn's optimiser, starting there"
            ),
            Check("places where 95 % intervals hold", 100 * float(covered), 95, 5, "their definition", "%"),
        ],
        draw=draw,
        facts={
            "lengths": f"{east} to the east, {north} to the north",
            "root mean square error": f"{scale * np.sqrt(np.mean(error**2)):.1f} m of a standard deviation of {scale:.1f} m",
        },
    )
