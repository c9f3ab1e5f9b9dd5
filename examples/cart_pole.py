"""A pole is kept upright by a policy that learns from its own falls.

A cart on a track carries a pole on a hinge. Fifty times a second it is pushed to the left or to the right
by 10 N, with the probability of "right" σ(w · s) in the state s = (position, velocity, angle, angular
velocity). An episode ends when the pole leans by 12° or the track ends; its reward is how many steps it
lasted. The dynamics need not be differentiable for that: the gradient of the expected reward is

    ∇J = E[Σₜ ∇ log π(aₜ|sₜ) (reward from t on − what is usual at t)]

One program makes an episode (`lax.scan`), `vmap` a hundred of them, `grad` the policy gradient, and
`hessian` of the same log-probabilities Fisher's information F, with which a step goes as far as the policy
changes by a given divergence, F⁻¹∇J · √(2δ / ∇J·F⁻¹∇J), whatever the units of the state.

Of episodes of ten pushes there are 1024, so their expectation is a sum, with a derivative to check by.

A. G. Barto, R. S. Sutton, C. W. Anderson, IEEE Trans. Syst. Man Cybern. 13 (1983): the cart; R. J. Williams,
Mach. Learn. 8 (1992): REINFORCE; S. Kakade, "A natural policy gradient", NeurIPS 2001.
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, GREY, ORANGE, VERMILION, Check, Outcome, progress
from pullback import lax, nn, random

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TICK = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02  # m/s², kg, kg, m, N, s
TRACK, LEAN = 2.4, np.radians(12)  # m, rad: where an episode ends


def move(state, force):
    """The state after one tick, by Euler's method."""
    x, v, angle, spin = state
    mass = CART + POLE
    push = (force + POLE * HALF_LENGTH * spin**2 * jnp.sin(angle)) / mass
    inertia = HALF_LENGTH * (4 / 3 - POLE * jnp.cos(angle) ** 2 / mass)
    turn = (GRAVITY * jnp.sin(angle) - jnp.cos(angle) * push) / inertia
    drive = push - POLE * HALF_LENGTH * turn * jnp.cos(angle) / mass
    return state + TICK * jnp.stack([v, drive, spin, turn])


def episode(weights, start, choose, inputs):
    """Rewards and log-probabilities of each step, of shape (steps,), and the states, of (steps, 4).

    `choose(probability of right, input)` is the action, True for right.
    """

    def step(carry, given):
        state, alive = carry
        logit = weights @ state
        right = choose(nn.sigmoid(logit), given)
        log_p = nn.log_sigmoid(jnp.where(right, logit, -logit))
        new = move(state, jnp.where(right, FORCE, -FORCE))
        still = alive & (abs(new[0]) < TRACK) & (abs(new[2]) < LEAN)
        return (new, still), (alive.astype(float), alive * log_p, state)

    return lax.scan(step, (start, jnp.array(True)), inputs)[1]


drawn = lambda probability, uniform: uniform < probability


def to_go(rewards):
    return jnp.cumsum(rewards[..., ::-1], -1)[..., ::-1]


def learn(weights, key, steps, episodes, divergence=0.05):
    """Weights after one step of the natural policy gradient, and the mean reward before it."""
    start_key, draw_key = random.split(key)
    starts = random.uniform(start_key, (episodes, 4), minval=-0.05, maxval=0.05)
    draws = random.uniform(draw_key, (episodes, steps))
    log_p = lambda weights: pb.vmap(episode, (None, 0, None, 0))(weights, starts, drawn, draws)[:2]
    rewards, _ = log_p(weights)
    usual = jnp.sum(to_go(rewards) * rewards, 0) / jnp.maximum(rewards.sum(0), 1)
    advantage = (to_go(rewards) - usual) * rewards

    gradient = pb.grad(lambda w: jnp.sum(advantage * log_p(w)[1]) / episodes)(weights)
    fisher = -pb.hessian(lambda w: jnp.sum(log_p(w)[1]) / episodes)(weights)
    direction = jnp.linalg.solve(fisher + 1e-3 * jnp.diag(jnp.diag(fisher)), gradient)
    # Where no episode has failed there is no gradient, and no step.
    return weights + jnp.sqrt(2 * divergence / (gradient @ direction + 1e-9)) * direction, rewards.sum(1).mean()


def expected(weights, start, steps):
    """The expected reward, summed over all sequences of actions."""
    actions = (np.arange(2**steps)[:, None] >> np.arange(steps) & 1).astype(bool)
    # Actions after the end have no part in the sum, so each course counts once: those that end with False.
    rewards, log_ps, _ = pb.vmap(episode, (None, None, None, 0))(weights, start, lambda _, action: action, actions)
    once = jnp.all(~actions | (rewards > 0), 1)
    return jnp.sum(jnp.exp(log_ps.sum(1)) * rewards.sum(1) * once)


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    steps, episodes = (200, 50) if small else (500, 200)
    weights, key = jnp.zeros(4), random.key(3)
    update = pb.jit(learn, static_argnums=(2, 3))
    history = []
    for i in progress(range(24 if small else 40), "learning"):
        weights, reward = update(weights, random.fold_in(key, i), steps, episodes)
        history.append(float(reward))

    # Near a fall, where it matters what is done.
    start, some = jnp.array([0.0, 0.0, 0.12, 0.6]), jnp.array([0.0, 0.3, 2.0, 1.0])
    exact = pb.jit(pb.grad(lambda w: expected(w, start, 10)))(some)

    def estimate(draws):
        rewards = to_go(episode(some, start, drawn, draws)[0])
        return pb.grad(lambda w: rewards @ episode(w, start, drawn, draws)[1])(some)

    samples = np.asarray(pb.jit(pb.vmap(estimate))(random.uniform(random.key(4), (20_000, 10))))
    deviations = (samples.mean(0) - exact) / (samples.std(0) / np.sqrt(len(samples)))

    def show(weights, key):
        draws = random.uniform(key, (steps,))
        rewards, _, states = episode(weights, 0.05 * jnp.ones(4), drawn, draws)
        lasted = int(rewards.sum())
        return TICK * np.arange(lasted), np.degrees(states[:lasted, 2]), states[:lasted, 0]

    def draw(figure):
        left, right = figure.subplots(1, 2)
        left.plot(history, "o-", ms=3, color=BLUE)
        left.axhline(steps, color=GREY, lw=0.8, ls=":")
        left.set(xlabel="updates of the policy", ylabel="mean reward of an episode (steps)", ylim=(0, None))
        for seed in range(3):
            times, angles, _ = show(jnp.zeros(4), random.key(seed))
            right.plot(times, angles, color=VERMILION, lw=1, label=None if seed else "angle, untrained")
        times, angles, places = show(weights, random.key(5))
        right.plot(times, angles, color=BLUE, lw=1, label="angle, trained")
        for lean in (-12, 12):
            right.axhline(lean, color=GREY, lw=0.8, ls=":")
        right.set(xlabel="time in s", ylabel="angle in degrees", ylim=(-14, 14))
        place = right.twinx()
        place.plot(times, places, color=ORANGE, lw=1, label="place, trained")
        place.set(ylabel="place in m", ylim=(-2.8, 2.8))
        figure.legend(loc="outside upper right", ncols=3, fontsize=8)

    return Outcome(
        checks=[
            Check("gradient, error in standard errors", np.abs(deviations).max(), 0, 4, "a sum over 1024 courses"),
            Check("mean reward after learning", history[-1], steps, 0.05 * steps, "never to fall"),
        ],
        draw=draw,
        facts={
            "gradient": f"{np.round(samples.mean(0), 3)}, exactly {np.round(exact, 3)}",
            "reward": f"{history[0]:.0f} steps at first, {history[-1]:.0f} of {steps} at last",
        },
    )
