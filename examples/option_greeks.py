"""The Greeks of options, by nested derivatives and by Monte Carlo.

What an option is worth depends on the price S of the share, its volatility σ, the rate of interest r and
the time T. Who sells one hedges it with the derivatives of that: delta ∂/∂S, gamma ∂²/∂S², vega ∂/∂σ,
theta −∂/∂T, vanna ∂²/∂S∂σ, …. Of the Black–Scholes formula each is a nested `grad`, here beside
the closed forms of the textbooks; the volatility that a price implies is a root, with derivatives.

Where there is no formula, paths are simulated, and the derivative of an expectation is an expectation:

- pathwise: E[∂ payoff/∂θ], for payoffs without jumps (a call; an Asian call on the geometric mean);
- by the likelihood ratio: E[payoff ∂ log p/∂θ], for any payoff, at a price in variance. It is the derivative
  of payoff · p_θ/p, where p stands still (`lax.stop_gradient`), so `grad` does for gamma, too.

F. Black, M. Scholes, J. Polit. Econ. 81 (1973); M. Broadie, P. Glasserman, "Estimating security price
derivatives using simulation", Manag. Sci. 42 (1996); A. G. Z. Kemna, A. C. F. Vorst, "A pricing method for
options based on average asset values", J. Bank. Finance 14 (1990).
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import COLOURS, Check, Outcome
from pullback import lax, random
from pullback.scipy.stats import norm

STRIKE, RATE = 100.0, 0.03  # in the currency; per year
DAYS = 50  # of the mean of an Asian option


def digital(S, sigma, T):
    """The price of 1, paid at T (years) if the share is above the strike. S: currency, sigma: per √year."""
    d2 = (jnp.log(S / STRIKE) + (RATE - sigma**2 / 2) * T) / (sigma * jnp.sqrt(T))
    return jnp.exp(-RATE * T) * norm.cdf(d2)


def call(S, sigma, T):
    """The Black–Scholes price of a European call."""
    d1 = (jnp.log(S / STRIKE) + (RATE + sigma**2 / 2) * T) / (sigma * jnp.sqrt(T))
    return S * norm.cdf(d1) - STRIKE * digital(S, sigma, T)


delta, vega = pb.grad(call, 0), pb.grad(call, 1)
GREEKS = {
    "delta": delta, "vega": vega, "theta": lambda *market: -pb.grad(call, 2)(*market), "gamma": pb.grad(delta, 0),
    "vanna": pb.grad(delta, 1), "volga": pb.grad(vega, 1), "speed": pb.grad(pb.grad(delta, 0), 0),
}  # fmt: skip


def textbook(S, sigma, T):
    """The same by the formulas of J. C. Hull, *Options, Futures, and Other Derivatives*, ch. 19, with SciPy."""
    from scipy.stats import norm

    root = sigma * np.sqrt(T)
    d1 = (np.log(S / STRIKE) + (RATE + sigma**2 / 2) * T) / root
    d2, density = d1 - root, norm.pdf(d1)
    gamma, vega = density / (S * root), S * density * np.sqrt(T)
    theta = -S * density * sigma / (2 * np.sqrt(T)) - RATE * STRIKE * np.exp(-RATE * T) * norm.cdf(d2)
    return {
        "delta": norm.cdf(d1), "vega": vega, "theta": theta, "gamma": gamma, "vanna": -density * d2 / sigma,
        "volga": vega * d1 * d2 / sigma, "speed": -gamma / S * (d1 / root + 1),
    }  # fmt: skip


def final_price(S, sigma, T, normal):
    return S * jnp.exp((RATE - sigma**2 / 2) * T + sigma * jnp.sqrt(T) * normal)


def pathwise_call(S, sigma, T, normals):
    return jnp.exp(-RATE * T) * jnp.maximum(final_price(S, sigma, T, normals[-1]) - STRIKE, 0)


def pathwise_asian(S, sigma, T, normals):
    def day(log_price, normal):
        log_price += (RATE - sigma**2 / 2) * T / DAYS + sigma * jnp.sqrt(T / DAYS) * normal
        return log_price, log_price

    _, log_prices = lax.scan(day, jnp.log(S), normals)
    return jnp.exp(-RATE * T) * jnp.maximum(jnp.exp(log_prices.mean()) - STRIKE, 0)


def likelihood_ratio(payoff):
    def value(S, sigma, T, normals):
        final = lax.stop_gradient(final_price(S, sigma, T, normals[-1]))
        log_p = norm.logpdf(jnp.log(final / S), (RATE - sigma**2 / 2) * T, sigma * jnp.sqrt(T))
        return jnp.exp(-RATE * T) * payoff(final) * jnp.exp(log_p - lax.stop_gradient(log_p))

    return value


def asian(S, sigma, T):
    """Kemna and Vorst: the log of the geometric mean over the days is normal, too."""
    mean = jnp.log(S) + (RATE - sigma**2 / 2) * T * (DAYS + 1) / (2 * DAYS)
    deviation = sigma * jnp.sqrt(T * (DAYS + 1) * (2 * DAYS + 1) / (6 * DAYS**2))
    d2 = (mean - jnp.log(STRIKE)) / deviation
    return jnp.exp(-RATE * T) * (jnp.exp(mean + deviation**2 / 2) * norm.cdf(d2 + deviation) - STRIKE * norm.cdf(d2))


lr_call = likelihood_ratio(lambda final: jnp.maximum(final - STRIKE, 0))
lr_digital = likelihood_ratio(lambda final: (final > STRIKE).astype(float))
SIMULATED = [
    ("delta of a call, pathwise", pb.grad(pathwise_call, 0), delta),
    ("delta of a call, likelihood ratio", pb.grad(lr_call, 0), delta),
    ("gamma of a call, likelihood ratio", pb.grad(pb.grad(lr_call, 0), 0), GREEKS["gamma"]),
    ("delta of a digital option, likelihood ratio", pb.grad(lr_digital, 0), pb.grad(digital, 0)),
    ("vega of a geometric Asian call, pathwise", pb.grad(pathwise_asian, 1), pb.grad(asian, 1)),
]


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    market, checks, spots = (105.0, 0.25, 0.5), [], np.linspace(60, 150, 181)
    curves = {name: pb.jit(pb.vmap(greek, (0, None, None)))(spots, *market[1:]) for name, greek in GREEKS.items()}
    for name, expected in textbook(spots, *market[1:]).items():
        error = np.abs(curves[name] - expected).max() / np.abs(expected).max()
        checks.append(Check(f"{name}, largest relative error", error, 0, 1e-12, "the closed form"))
    volatility = lambda price: pb.root(lambda sigma, price: call(market[0], sigma, market[2]) - price, 0.3, price)
    implied, slope = pb.value_and_grad(volatility)(call(*market))
    checks.append(Check("implied volatility", implied, market[1], 1e-10, "the volatility of that price"))
    checks.append(Check("its derivative in the price", slope, 1 / vega(*market), 1e-8, "1 / vega"))

    paths = 20_000 if small else 400_000
    normals = random.normal(random.key(1), (paths, DAYS))
    rows = {}
    for name, estimator, formula in SIMULATED:
        samples = np.asarray(pb.jit(pb.vmap(estimator, (None, None, None, 0)))(*market, normals))
        rows[name] = samples, (exact := formula(*market))
        error = samples.std() / np.sqrt(paths)
        checks.append(Check(name, samples.mean(), exact, 4 * error, "the closed form, 4 standard errors"))

    def draw(figure):
        left, right = figure.subplots(1, 2)
        for colour, (name, curve) in zip([*COLOURS, "k"], curves.items()):
            left.plot(spots, curve / np.abs(curve).max(), color=colour, label=name)
        left.set(xlabel="price of the share", ylabel="Greek, of its largest value", ylim=(-1.1, 1.5))
        left.legend(fontsize=8, ncols=4, loc="upper center")
        counts = np.unique(np.geomspace(100, paths, 60).astype(int))
        for colour, (name, (samples, exact)) in zip(COLOURS, rows.items()):
            errors = samples.std() / np.sqrt(counts) / abs(exact)
            found = np.abs(np.cumsum(samples)[counts - 1] / counts / exact - 1)
            right.loglog(counts, errors, color=colour, label=name)
            right.loglog(counts, found, ".", color=colour, ms=2.5)
        right.set(xlabel="paths", ylabel="relative error (lines: standard error)", ylim=(1e-7, 10))
        right.legend(fontsize=7, loc="lower left")

    spread = [f"{samples.std():.2f}" for samples, _ in rows.values()]
    facts = {"standard deviation of a path's delta": f"{spread[0]} pathwise, {spread[1]} by the likelihood ratio"}
    return Outcome(checks, draw, facts)
