"""Handwritten digits as points in a plane, by a variational autoencoder.

Each image x is thought to come from a point z of a plane: z ~ N(0, I), x ~ p(x | z), where a network (the
decoder) gives the distribution of each pixel. A second network (the encoder) gives q(z | x) = N(μ(x), σ(x)²),
an approximation to the posterior of z. Both maximise the evidence lower bound

    log p(x) ≥ ELBO(x) = E_q[log p(x | z)] − KL(q(z | x) ‖ N(0, I)),

whose gradient needs one draw z = μ + σ ε, because ε does not depend on the networks. The divergence has a
closed form. The pixels of scikit-learn's digits are counts, of the black points among 4×4 of a finer image,
and neighbouring points are alike: their distribution is beta-binomial, with means and concentrations from
the decoder, so derivatives of the logarithm of the gamma function are part of the training.

A plane can be integrated over, which makes all of it checkable: log p(x) by quadrature over z, by importance
sampling from q, and as the sum of the ELBO and KL(q ‖ p(z | x)), must be the same number.

D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", ICLR 2014; Y. Burda, R. Grosse, R. Salakhutdinov,
"Importance weighted autoencoders", ICLR 2016.
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import Check, Outcome, progress
from pullback import lax, nn, random
from pullback.example_libraries import optimizers
from pullback.scipy.special import betaln, gammaln, ndtri
from pullback.scipy.stats import norm

POINTS = 16  # black or white, of which a pixel is the count


def initial(key, sizes):
    draw = nn.initializers.glorot_uniform()
    keys = random.split(key, len(sizes))
    return [(draw(key, (m, n)), jnp.zeros(n)) for key, m, n in zip(keys, sizes, sizes[1:])]


def network(params, x):
    *hidden, (w, b) = params
    for weights, bias in hidden:
        x = jnp.tanh(x @ weights + bias)
    return x @ w + b


def encode(params, image):
    """Mean and logarithm of the standard deviation of q(z | image)."""
    return jnp.split(network(params["encoder"], image / POINTS), 2)


def decode(params, z):
    """The parameters of the beta distribution of each pixel's share of black points."""
    logit, concentration = jnp.split(network(params["decoder"], z), 2)
    share, concentration = 0.001 + 0.998 * nn.sigmoid(logit), 0.1 + nn.softplus(concentration)
    return share * concentration, (1 - share) * concentration


def log_likelihood(params, image, z):
    a, b = decode(params, z)
    ways = gammaln(POINTS + 1.0) - gammaln(image + 1) - gammaln(POINTS - image + 1)
    return jnp.sum(ways + betaln(a + image, b + POINTS - image) - betaln(a, b))


def divergence(mean, log_sd):
    """KL(N(mean, sd²) ‖ N(0, I)) in nats."""
    return 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_sd) - 1 - 2 * log_sd)


def elbo(params, key, image):
    mean, log_sd = encode(params, image)
    z = mean + jnp.exp(log_sd) * random.normal(key, mean.shape)
    return log_likelihood(params, image, z) - divergence(mean, log_sd)


def batch_loss(params, key, images):
    return -pb.vmap(elbo, (None, 0, 0))(params, random.split(key, len(images)), images).mean()


@partial(pb.jit, static_argnames=("optimizer", "size"))
def epoch(optimizer, state, key, images, size=50):
    order = random.permutation(key, len(images)).reshape(-1, size)

    def step(carry, rows):
        i, key, state = carry
        key, used = random.split(key)
        value, slope = pb.value_and_grad(batch_loss)(optimizer.params_fn(state), used, images[rows])
        return (i + 1, key, optimizer.update_fn(i, slope, state)), value

    (_, _, state), losses = lax.scan(step, (0, key, state), order)
    return state, losses.mean()


@partial(pb.jit, static_argnames="draws")
def bounds(params, key, image, plane, draws=4000):
    """About one image, in nats: the divergence in closed form and by `draws` from q, log p(x) by these,
    by quadrature over the points of the `plane`, and as the sum of the ELBO and the divergence of q
    from the posterior, both by quadrature."""
    mean, log_sd = encode(params, image)
    likelihoods = pb.vmap(partial(log_likelihood, params, image))
    z = mean + jnp.exp(log_sd) * random.normal(key, (draws, 2))
    log_q = lambda z: norm.logpdf(z, mean, jnp.exp(log_sd)).sum(-1)
    log_prior = lambda z: norm.logpdf(z).sum(-1)
    sampled = nn.logmeanexp(likelihoods(z) + log_prior(z) - log_q(z))

    area = (plane[1, 0] - plane[0, 0]) ** 2  # of the plane that a point stands for
    joint = likelihoods(plane) + log_prior(plane)
    evidence = nn.logsumexp(joint) + jnp.log(area)
    q = jnp.exp(log_q(plane)) * area
    bound = jnp.sum(q * likelihoods(plane)) - divergence(mean, log_sd)
    gap = jnp.sum(q * (log_q(plane) - joint + evidence))
    return divergence(mean, log_sd), jnp.mean(log_q(z) - log_prior(z)), sampled, evidence, bound + gap, bound


def main(small: bool = False) -> Outcome:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = jnp.asarray(images, "float32")
    train, tested = images[:1500], 4 if small else 40
    hidden, epochs = ((32,), 15) if small else ((128, 128), 150)
    optimizer = optimizers.adam(optimizers.exponential_decay(2e-3, 30 * epochs, 0.1))
    key = random.key(1)
    sizes = (64, *hidden, 4), (2, *hidden, 128)
    state = optimizer.init_fn({"encoder": initial(key, sizes[0]), "decoder": initial(random.fold_in(key, 1), sizes[1])})
    losses = []
    for i in progress(range(epochs), "epochs"):
        state, loss = epoch(optimizer, state, random.fold_in(key, i), train)
        losses.append(float(loss))
    params = optimizer.params_fn(state)

    axis = jnp.linspace(-5, 5, 101 if small else 301)
    plane = jnp.stack(jnp.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    found = [bounds(params, random.fold_in(key, i), images[1500 + i], plane) for i in range(tested)]
    closed, simulated, sampled, evidence, together, bound = np.mean(np.asarray(found), axis=0)
    places = np.asarray(pb.vmap(lambda x: encode(params, x)[0])(images[1500:]))
    quantiles = ndtri(jnp.linspace(0.02, 0.98, 14))
    shares = lambda z: (lambda a, b: a / (a + b))(*decode(params, z))
    tiles = pb.vmap(pb.vmap(lambda x, y: shares(jnp.stack([x, y])).reshape(8, 8), (0, None)), (None, 0))
    grid = np.asarray(tiles(quantiles, quantiles[::-1])).transpose(0, 2, 1, 3).reshape(14 * 8, 14 * 8)

    def draw(figure):
        import matplotlib as mpl

        left, right = figure.subplots(1, 2)
        for (x, y), label in zip(places, labels[1500:]):
            left.text(x, y, str(label), color=mpl.colormaps["tab10"](label), size=8, ha="center", va="center")
        left.set(xlabel="z₁", ylabel="z₂", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal")
        right.imshow(grid, cmap="gray_r", extent=(0, 1, 0, 1))
        right.set(xlabel="Φ(z₁)", ylabel="Φ(z₂)")

    return Outcome(
        checks=[
            Check("KL(q ‖ N(0, I))", float(closed), float(simulated), 0.05, "its mean over draws from q", "nats"),
            Check("log p(x), by importance sampling", float(sampled), float(evidence), 0.1, "quadrature over the plane", "nats"),
            Check("ELBO + KL(q ‖ p(z | x))", float(together), float(evidence), 1e-3, "log p(x) by quadrature", "nats"),
        ],
        draw=draw,
        facts={"ELBO of test images": f"{bound:.2f} nats", "of training images": f"{-losses[-1]:.2f} nats"},
    )  # fmt: skip
