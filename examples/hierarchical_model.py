"""Eight schools: a hierarchical model by Hamiltonian Monte Carlo.

Eight schools tried coaching for a test, and each measured an effect yⱼ with a known standard error σⱼ, both
in points. How large are the true effects θⱼ, if the schools differ by an unknown amount?

    yⱼ ~ N(θⱼ, σⱼ²),  θⱼ = μ + τ ηⱼ,  ηⱼ ~ N(0, 1),  p(μ, τ) ∝ 1.

With η instead of θ as unknowns the posterior has no funnel where τ is small (the non-centred form). Hamiltonian
Monte Carlo gives the unknowns a random momentum, follows the equations of motion in the potential −log p by
leapfrog steps, for which it needs one gradient each, and accepts by the error of the energy. Chains are
`vmap`ped, steps and draws are `lax.scan`s, and the length of a step is adapted during the warm-up by dual
averaging.

Given τ, all else is Gaussian, so posterior means are integrals over τ alone: quadrature checks them, with the
Monte Carlo error, from the spread between chains, as the tolerance.

D. B. Rubin, "Estimation in parallel randomized experiments", J. Educational Statistics 6 (1981); A. Gelman et
al., *Bayesian Data Analysis*, 3rd ed. 2013, section 5.5; R. M. Neal, "MCMC using Hamiltonian dynamics",
*Handbook of Markov Chain Monte Carlo*, 2011; M. D. Hoffman, A. Gelman, J. Machine Learning Research 15 (2014).
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, GREY, VERMILION, Check, Outcome
from pullback import lax, random
from pullback.scipy.stats import norm

SCHOOLS = "ABCDEFGH"
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])  # points
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def effects(q):
    return q["mu"] + jnp.exp(q["log_tau"]) * q["eta"]


def log_posterior(q):
    """Its logarithm up to a constant; log τ, being flat in τ, has the density τ."""
    return norm.logpdf(EFFECT, effects(q), ERROR).sum() + norm.logpdf(q["eta"]).sum() + q["log_tau"]


def energy(q, p):
    return 0.5 * sum(jnp.sum(x**2) for x in pb.tree.leaves(p)) - log_posterior(q)


def added(x, step, y):
    return pb.tree.map(lambda x, y: x + step * y, x, y)


def proposal(key, q, step, steps):
    """Where `steps` leapfrog steps from `q` lead, and with what probability to go there."""
    leaves, structure = pb.tree.flatten(q)
    keys = structure.unflatten(random.split(key, len(leaves)))
    momentum = pb.tree.map(lambda k, x: random.normal(k, x.shape), keys, q)
    force = pb.grad(log_posterior)

    def leapfrog(state, _):
        q, p = state
        q = added(q, step, p)
        return (q, added(p, step, force(q))), None

    # Half a step of the momentum first, and the last one taken back by a half.
    (end, p), _ = lax.scan(leapfrog, (q, added(momentum, step / 2, force(q))), None, length=steps)
    p = added(p, -step / 2, force(end))
    return end, jnp.nan_to_num(jnp.exp(jnp.minimum(energy(q, momentum) - energy(end, p), 0)))


def advance(key, chains, step, steps):
    """One draw further, for each of the chains, and their mean probability of acceptance."""
    count = len(chains["mu"])
    jitter, propose, accept = random.split(key, 3)
    step = step * random.uniform(jitter, (count,), minval=0.7, maxval=1.3)  # or a period could be hit
    ends, probability = pb.vmap(proposal, (0, 0, 0, None))(random.split(propose, count), chains, step, steps)
    moves = random.uniform(accept, (count,)) < probability
    choose = lambda end, q: jnp.where(moves.reshape(-1, *[1] * (q.ndim - 1)), end, q)
    return pb.tree.map(choose, ends, chains), probability.mean()


@partial(pb.jit, static_argnames=("warmup", "draws", "steps"))
def sample(key, chains, warmup, draws, steps=16, target=0.9):
    """`draws` of each chain, after `warmup` others that find the step (Hoffman and Gelman, section 3.2)."""

    def adapt(state, i):
        chains, step, average, excess = state
        chains, probability = advance(random.fold_in(key, i), chains, step, steps)
        excess = excess + target - probability
        step = jnp.exp(jnp.log(1.0) - jnp.sqrt(i + 1.0) / 0.05 * excess / (i + 11.0))
        weight = (i + 1.0) ** -0.75
        return (chains, step, step**weight * average ** (1 - weight), excess), None

    (chains, _, step, _), _ = lax.scan(adapt, (chains, 0.1, 0.1, 0.0), jnp.arange(warmup))

    def draw(chains, i):
        chains, probability = advance(random.fold_in(key, i), chains, step, steps)
        return chains, (
            {"theta": pb.vmap(effects)(chains), "tau": jnp.exp(chains["log_tau"]), "mu": chains["mu"]},
            probability,
        )

    _, (found, probability) = lax.scan(draw, chains, warmup + jnp.arange(draws))
    return found, step, probability.mean()


def by_quadrature(tau):
    """The posterior density of τ (Gelman et al., equation 5.21), and posterior means by integrals over it."""
    weight = 1 / (ERROR**2 + tau[:, None] ** 2)
    precision = weight.sum(axis=1)
    mu = weight @ EFFECT / precision
    log_p = -0.5 * np.log(precision) + 0.5 * np.log(weight).sum(axis=1)
    log_p -= 0.5 * (weight * (EFFECT - mu[:, None]) ** 2).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    p /= np.trapezoid(p, tau)
    own = tau[:, None] ** 2 / (ERROR**2 + tau[:, None] ** 2)  # what a school's own measurement weighs
    theta = own * EFFECT + (1 - own) * mu[:, None]
    return p, {k: np.trapezoid(v.T * p, tau) for k, v in {"mu": mu, "tau": tau, "theta": theta}.items()}


def main(small: bool = False) -> Outcome:
    count, warmup, draws = (64, 300, 500) if small else (256, 500, 4000)
    key, spread = random.split(random.key(8))
    chains = {"mu": jnp.zeros(count) + 8, "log_tau": jnp.ones(count), "eta": random.normal(spread, (count, 8))}
    found, step, accepted = pb.block_until_ready(sample(key, chains, warmup, draws))
    tau = np.linspace(0, 400, 400_001)
    density, exact = by_quadrature(tau)
    means = {k: np.asarray(v).mean(axis=0) for k, v in found.items()}  # of each chain
    errors = {k: v.std(axis=0, ddof=1) / np.sqrt(count) for k, v in means.items()}
    effective = np.asarray(found["tau"]).var() / errors["tau"] ** 2

    def draw(figure):
        left, right = figure.subplots(1, 2)
        theta = np.asarray(found["theta"]).reshape(-1, 8)
        low, high = np.percentile(theta, (5, 95), axis=0)
        place = np.arange(8)[::-1]
        left.errorbar(EFFECT, place + 0.15, xerr=1.645 * ERROR, fmt="o", color=GREY, label="measured")
        left.hlines(place - 0.15, low, high, color=BLUE)
        left.plot(theta.mean(axis=0), place - 0.15, "o", color=BLUE, label="posterior")
        left.axvline(means["mu"].mean(), color=BLUE, alpha=0.4, zorder=0)
        left.set_yticks(place, SCHOOLS)
        left.set(xlabel="effect, points (bars: 90 %)", ylabel="school")
        left.legend(loc="center right")
        taus, near = np.asarray(found["tau"]).ravel(), tau < 30
        right.hist(
            taus,
            np.linspace(0, 30, 61),
            weights=np.full(taus.size, 2 / taus.size),
            color=BLUE,
            alpha=0.4,
            label="draws",
        )
        right.plot(tau[near], density[near], color=VERMILION, label="quadrature")
        right.set(xlabel="τ, points", ylabel="posterior density, 1/points", xlim=(0, 30))
        right.legend()

    def check(name, what, at=()):
        return Check(
            what, means[name].mean(axis=0)[at], exact[name][at], 4 * errors[name][at], "quadrature over τ", "points"
        )

    return Outcome(
        checks=[
            check("theta", "mean effect in school A", 0),
            check("theta", "mean effect in school C", 2),
            check("mu", "mean of μ"),
            check("tau", "mean of τ"),
        ],
        draw=draw,
        facts={
            "draws": f"{count * draws:,} from {count} chains, for τ worth {effective:,.0f} independent ones",
            "accepted": f"{100 * accepted:.0f} % with steps of {step:.2f}",
        },
    )
