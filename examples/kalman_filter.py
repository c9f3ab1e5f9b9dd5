"""The level of the Nile, by a Kalman filter that is differentiated.

The yearly flow yₜ of the Nile at Aswan, 1871 to 1970, is a level that wanders, and noise:

    yₜ = μₜ + εₜ,  εₜ ~ N(0, σ²_ε),      μₜ₊₁ = μₜ + ηₜ,  ηₜ ~ N(0, σ²_η)

The Kalman filter gives the likelihood of the whole series in one `lax.scan`, and everything else is a
derivative of its logarithm L(σ, y):

- the variances are where ∂L/∂σ = 0 (`pb.argmin`), their standard errors come from the Hessian there;
- L is Gaussian in y, so the mean of the level, given *all* years, is y + σ²_ε ∂L/∂y, and its covariance is
  σ²_ε + σ⁴_ε ∂²L/∂y²: the smoother, which textbooks write as a second, backward recursion, is the backward
  pass of the filter.

Without knowledge of the first level, the filter starts with the first year, and L is conditional on it.

J. Durbin, S. J. Koopman, *Time Series Analysis by State Space Methods* (2012), chapter 2, has the data and
what is expected; G. W. Cobb, Biometrika 65 (1978).
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, GREY, ORANGE, VERMILION, Check, Outcome
from pullback import lax
from pullback.scipy.stats import norm

NILE = np.array([  # 10⁸ m³ a year, from 1871
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140,
    1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969, 831,
    726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845,
    944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918,
    986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
], dtype=float)  # fmt: skip


def log_likelihood(log_variances, y):
    """log p(y₂, …, yₙ | y₁); log_variances: those of the noise and of the level's steps. Also gives the
    filtered levels and their variances, of shape (n − 1,)."""
    noise, step = jnp.exp(log_variances)

    def year(state, y):
        mean, variance = state
        prediction = variance + step
        gain = prediction / (prediction + noise)
        log_p = norm.logpdf(y, mean, jnp.sqrt(prediction + noise))
        state = mean + gain * (y - mean), (1 - gain) * prediction
        return state, (log_p, *state)

    _, (log_ps, means, variances) = lax.scan(year, (y[0], noise), y[1:])
    return log_ps.sum(), (means, variances)


def gaussian(variances, y):
    """The same without a filter: the density of y₂ − y₁, …, yₙ − y₁, and the level given y, by dense matrices."""
    from scipy.stats import multivariate_normal

    noise, step = variances
    years = np.arange(len(y))
    walk = step * np.minimum.outer(years, years)
    # The first year's level is y₁ − ε₁: a walk from there, and its noise is in all differences.
    covariance = (walk + noise * np.eye(len(y)) + noise)[1:, 1:]
    level = (walk + noise)[:, 1:] @ np.linalg.solve(covariance, y[1:] - y[0]) + y[0]
    return multivariate_normal(np.full(len(y) - 1, y[0]), covariance).logpdf(y[1:]), level


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    del small  # A hundred years take no time.
    years = 1871 + np.arange(len(NILE))
    value = lambda log_variances, y: log_likelihood(log_variances, y)[0]
    start = jnp.log(jnp.full(2, NILE.var() / 2))
    # Scaled, because the tolerance of a minimum is that of the gradient.
    best = pb.argmin(lambda log_variances: -value(log_variances, NILE) / len(NILE), start)
    variances = np.exp(best)
    errors = variances * np.sqrt(np.diag(np.linalg.inv(-pb.hessian(value)(best, NILE))))

    level = NILE + variances[0] * pb.grad(value, 1)(best, NILE)
    curvature = pb.jit(pb.hessian(value, 1))(best, NILE)
    deviation = np.sqrt(variances[0] + variances[0] ** 2 * np.diag(curvature))
    found, (filtered, _) = log_likelihood(best, NILE)
    dense, dense_level = gaussian(variances, NILE)

    grid = [np.linspace(8.6, 10.4, 60), np.linspace(4.5, 9.5, 60)]
    surface = pb.vmap(pb.vmap(lambda a, b: value(jnp.stack([a, b]), NILE), (0, None)), (None, 0))(*grid)

    def draw(figure):
        left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
        left.plot(years, NILE, ".", color=GREY, label="a year's flow")
        left.plot(years[1:], filtered, color=ORANGE, lw=1, label="level, from the years before (filter)")
        left.plot(years, level, color=BLUE, label="level, from all years (one gradient)")
        left.fill_between(years, level - 1.96 * deviation, level + 1.96 * deviation, color=BLUE, alpha=0.2, lw=0)
        left.axvline(1898.5, color=VERMILION, lw=0.8, ls=":")
        left.annotate(" dam at Aswan", (1898.5, 470), color=VERMILION, fontsize=8)
        left.set(xlabel="year", ylabel="flow in 10⁸ m³ a year", ylim=(400, 1550))
        left.legend(fontsize=8)
        thick = (0.6, 0.9, 1.2, 1.5)
        below = [-8, -4.61, -3.0, -1.15]
        right.contour(*np.exp(grid), surface - found, below, colors=BLUE, linewidths=thick, linestyles="solid")
        right.plot(*variances, "o", color=VERMILION, label="most likely")
        right.set(xscale="log", yscale="log", xlabel="variance of the noise in (10⁸ m³)²")
        right.set(ylabel="variance of the level's steps in (10⁸ m³)²")
        right.legend(fontsize=8)

    book = "Durbin and Koopman, §2.10"
    return Outcome(
        checks=[
            Check("variance of the noise", variances[0], 15099, 1, book, "(10⁸ m³)²"),
            Check("variance of the level's steps", variances[1], 1469.1, 0.1, book, "(10⁸ m³)²"),
            Check("log likelihood", found, dense, 1e-9, "a dense normal distribution of 99 variables, by SciPy"),
            Check(
                "smoothed level, largest error",
                np.abs(level - dense_level).max(),
                0,
                1e-8,
                "conditional mean by dense matrices",
                "10⁸ m³",
            ),
        ],
        draw=draw,
        facts={
            "noise": f"{variances[0]:.0f} ± {errors[0]:.0f} (10⁸ m³)²",
            "steps of the level": f"{variances[1]:.0f} ± {errors[1]:.0f} (10⁸ m³)²",
            "level in 1970": f"{level[-1]:.0f} ± {deviation[-1]:.0f} · 10⁸ m³",
        },
    )
