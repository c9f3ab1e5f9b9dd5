"""Handwritten digits, told apart by a perceptron with hidden layers.

A perceptron with hidden layers maps an image x to ten scores,

    h₀ = x,   hₖ₊₁ = relu(hₖ Wₖ + bₖ),   scores = h_L W_L + b_L,

whose softmax is read as the probability of each digit. The weights minimise the cross-entropy of the
training images with a small penalty on their squares, by stochastic gradient descent with momentum: the
gradient of a random batch is all that a step knows. An epoch, which is a pass over all batches, is one
`lax.scan`, so it is compiled once and runs without coming back to Python; the parameters are a list of pairs,
and the gradient is a list alike.

The images are the 1,797 of 8×8 pixels that come with scikit-learn, from 43 people: the test images are those
of people whom the training has not seen. Scikit-learn has a perceptron, too, whose derivatives are written by
hand. The two are compared twice: after one epoch from the same weights, when all weights must agree, and in
how many test images they get right after training.

D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning representations by back-propagating errors", Nature
323 (1986), 533-536. Data: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine
Learning Repository (1998).
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, VERMILION, Check, Outcome, bare, progress
from pullback import lax, nn, random

PENALTY = 1e-3  # of the squares of weights, over twice the number of images in a batch


def digits(tested=597):
    """Images with pixels from 0 to 1 and their digits, to train and to test with."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, labels = (images / 16).astype("float32"), labels.astype("int32")
    return (images[:-tested], labels[:-tested]), (images[-tested:], labels[-tested:])


def initial(key, sizes):
    keys = random.split(key, len(sizes) - 1)
    draw = nn.initializers.he_normal()
    return [(draw(key, (m, n)), jnp.zeros(n)) for key, m, n in zip(keys, sizes, sizes[1:])]


def scores(params, x):
    *hidden, (w, b) = params
    for weights, bias in hidden:
        x = nn.relu(x @ weights + bias)
    return x @ w + b


def loss(params, x, labels):
    log_p = nn.log_softmax(scores(params, x))
    fit = -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))
    return fit + PENALTY / (2 * len(x)) * sum(jnp.sum(w**2) for w, _ in params)


@partial(pb.jit, static_argnames="friction")
def epoch(params, velocity, images, labels, rate, friction=0.1):
    """A step for each batch: `images` have the axes batch, image, pixel."""

    def step(state, batch):
        params, velocity = state
        value, slope = pb.value_and_grad(loss)(params, *batch)
        velocity = pb.tree.map(lambda v, g: (1 - friction) * v - rate * g, velocity, slope)
        return (pb.tree.map(jnp.add, params, velocity), velocity), value

    (params, velocity), values = lax.scan(step, (params, velocity), (images, labels))
    return params, velocity, values.mean()


@pb.jit
def wrong(params, images, labels):
    return scores(params, images).argmax(axis=1) != labels


def batches(order, data, size):
    return [x[order[: len(order) // size * size]].reshape(-1, size, *x.shape[1:]) for x in data]


def beside_sklearn(data, hidden, rate, size):
    """The largest difference of any weight after an epoch here and in scikit-learn, from the same weights."""
    from sklearn.neural_network import MLPClassifier

    theirs = MLPClassifier(
        hidden, solver="sgd", alpha=PENALTY, momentum=0, learning_rate_init=rate, batch_size=size, shuffle=False
    )
    theirs.partial_fit(*data, classes=np.arange(10))
    params = [(jnp.array(w), jnp.array(b)) for w, b in zip(theirs.coefs_, theirs.intercepts_)]
    theirs.partial_fit(*data)
    velocity = pb.tree.map(jnp.zeros_like, params)
    params, *_ = epoch(params, velocity, *batches(np.arange(len(data[0])), data, size), rate, friction=1.0)
    return max(abs(ours - w).max() for (ours, _), w in zip(params, theirs.coefs_))


def main(small: bool = False) -> Outcome:
    from sklearn.neural_network import MLPClassifier

    train, test = digits()
    hidden, epochs, size = ((64,), 20, 40) if small else ((256, 256), 40, 40)
    key = random.key(0)
    params = initial(key, (64, *hidden, 10))
    velocity = pb.tree.map(jnp.zeros_like, params)
    losses, errors = [], []
    for i in progress(range(epochs), "epochs"):
        order = random.permutation(random.fold_in(key, i), len(train[0]))
        rate = 0.02 * (1 + np.cos(np.pi * i / epochs))  # falls to zero
        params, velocity, value = epoch(params, velocity, *batches(np.asarray(order), train, size), rate)
        losses.append(float(value))
        errors.append(100 * float(wrong(params, *test).mean()))

    theirs = MLPClassifier(hidden, learning_rate_init=0.005, random_state=0).fit(*train)
    missed = np.flatnonzero(wrong(params, *test))
    answers = np.asarray(scores(params, test[0]).argmax(axis=1))

    def draw(figure):
        left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
        axes = left.subplots()
        axes.semilogy(np.arange(1, epochs + 1), losses, color=BLUE)
        axes.set(xlabel="epochs", xlim=(1, epochs))
        axes.set_ylabel("training loss, nats per image", color=BLUE)
        percent = axes.twinx()
        percent.spines.right.set_visible(True)
        percent.plot(np.arange(1, epochs + 1), errors, color=VERMILION)
        percent.set_ylabel("test images told wrongly, %", color=VERMILION)
        percent.set_ylim(0)
        for axes in right.subplots(3, 5).flat:
            axes.set_axis_off()
        for axes, i in zip(right.axes, missed):
            bare(axes, test[0][i].reshape(8, 8), f"{test[1][i]}, not {answers[i]}")

    return Outcome(
        checks=[
            Check(
                "largest difference of a weight after one epoch",
                float(beside_sklearn(train, hidden, 0.1, size)), 0, 2e-5, "scikit-learn's epoch from the same weights",
            ),
            Check("test images told rightly", 100 - errors[-1], 100 * theirs.score(*test), 2, "scikit-learn's perceptron", "%"),
        ],
        draw=draw,
        facts={"weights": f"{sum(x.size for x in pb.tree.leaves(params)):,}", "test images told wrongly": f"{len(missed)} of {len(test[1])}"},
    )  # fmt: skip
