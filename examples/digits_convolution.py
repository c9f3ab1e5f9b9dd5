"""Handwritten digits, told apart by a convolutional network.

A convolutional network looks for the same small patterns everywhere in an image. Here two layers of 3×3
kernels, each followed by a rectifier and by the maximum of every 2×2 pixels, make 4×4, then 2×2 places with
some numbers at each; a linear layer turns them into ten scores, whose softmax is read as probabilities. The
loss is the cross-entropy, minimised by Adam. Each time that an image is seen, it is moved by a pixel at random:
`pb.vmap` of a function of one image and one key.

What the network looks at is a derivative, too: the gradient of the score of the right digit with respect to
the pixels (`saliency`), for a batch of images at once by `vmap` of `grad`; the mean over noisy copies is less
ragged than one gradient.

Half of scikit-learn's 1,797 images of 8×8 pixels are trained with; the test images are the other half, by
other people. A support vector machine is the published rival on this division. That the convolutions are
those of the books is checked against SciPy's.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86 (1998), 2278-2324; K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional
networks", arXiv:1312.6034 (2013); D. Smilkov et al., "SmoothGrad", arXiv:1706.03825 (2017).
"""

from __future__ import annotations

from functools import partial

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, ORANGE, Check, Outcome, bare, progress
from pullback import lax, nn, random
from pullback.example_libraries import optimizers


def digits():
    """Images with pixels from 0 to 1, with the axes image, row, column, channel, and their digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, labels = (images.reshape(-1, 8, 8, 1) / 16).astype("float32"), labels.astype("int32")
    half = len(labels) // 2
    return (images[:half], labels[:half]), (images[half:], labels[half:])


def initial(key, channels):
    keys = random.split(key, 3)
    kernel, matrix = nn.initializers.he_normal(in_axis=(0, 1, 2), out_axis=3), nn.initializers.he_normal()
    first, second = channels
    return {
        "first": (kernel(keys[0], (3, 3, 1, first)), jnp.zeros(first)),
        "second": (kernel(keys[1], (3, 3, first, second)), jnp.zeros(second)),
        "scores": (matrix(keys[2], (4 * second, 10)), jnp.zeros(10)),
    }


def convolve(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def layer(x, kernel, bias):
    x = nn.relu(convolve(x, kernel) + bias)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def scores(params, images):
    x = layer(layer(images, *params["first"]), *params["second"])
    w, b = params["scores"]
    return x.reshape(len(x), -1) @ w + b


def loss(params, images, labels):
    return -jnp.mean(jnp.sum(nn.log_softmax(scores(params, images)) * nn.one_hot(labels, 10), axis=1))


def moved(key, image):
    """The image, moved by −1, 0 or 1 pixel along each axis."""
    offset = random.randint(key, (2,), 0, 3)
    return lax.dynamic_slice(jnp.pad(image, ((1, 1), (1, 1), (0, 0))), (*offset, 0), image.shape)


@partial(pb.jit, static_argnames=("optimizer", "size"))
def epoch(optimizer, state, key, images, labels, size):
    key, keys = random.split(key)[0], random.split(random.split(key)[1], len(images))
    order = random.permutation(key, len(images))[: len(images) // size * size]
    batches = pb.tree.map(lambda x: x[order].reshape(-1, size, *x.shape[1:]), (keys, images, labels))

    def step(carry, batch):
        i, state = carry
        keys, images, labels = batch
        value, slope = pb.value_and_grad(loss)(optimizer.params_fn(state), pb.vmap(moved)(keys, images), labels)
        return (i + 1, optimizer.update_fn(i, slope, state)), value

    (_, state), values = lax.scan(step, (0, state), batches)
    return state, values.mean()


@pb.jit
def saliency(params, key, images, labels):
    """By how much the score of the digit rises with each pixel, as the mean over 100 images with noise."""
    score = lambda image, digit: scores(params, image[None])[0, digit]
    slopes = lambda noise: pb.vmap(pb.grad(score))(images + 0.2 * noise, labels)
    return pb.vmap(slopes)(random.normal(key, (100, *images.shape))).mean(axis=0)


def main(small: bool = False) -> Outcome:
    from scipy.signal import correlate2d
    from sklearn.svm import SVC

    train, test = digits()
    channels, epochs, rate = ((16, 32), 16, 1e-2) if small else ((32, 64), 60, 3e-3)
    optimizer = optimizers.adam(optimizers.exponential_decay(rate, 28 * epochs, 0.1))
    key = random.key(0)
    state = optimizer.init_fn(initial(key, channels))
    accuracy = pb.jit(lambda params, images, labels: jnp.mean(scores(params, images).argmax(axis=1) == labels))
    losses, rates = [], []
    for i in progress(range(epochs), "epochs"):
        state, value = epoch(optimizer, state, random.fold_in(key, i), *train, size=31)
        losses.append(float(value))
        rates.append(100 * float(accuracy(optimizer.params_fn(state), *test)))

    params = optimizer.params_fn(state)
    rival = SVC(gamma=16**2 * 1e-3).fit(train[0].reshape(-1, 64), train[1])  # for pixels from 0 to 1
    kernels = np.asarray(params["first"][0])[:, :, 0]
    one = np.stack([correlate2d(test[0][0, :, :, 0], k, "same") for k in kernels.transpose(2, 0, 1)], axis=2)
    difference = abs(convolve(test[0][:1], params["first"][0])[0] - one).max()
    shown = [int(np.flatnonzero(test[1] == digit)[3]) for digit in range(10)]
    maps = np.asarray(saliency(params, key, test[0][shown], test[1][shown]))

    def draw(figure):
        left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
        axes = left.subplots()
        axes.plot(np.arange(1, epochs + 1), rates, color=BLUE, label="convolutional network")
        svm = 100 * rival.score(test[0].reshape(-1, 64), test[1])
        axes.axhline(svm, color=ORANGE, label="support vector machine")
        axes.set(xlabel="epochs", ylabel="test images told rightly, %", xlim=(1, epochs), ylim=(90, 100))
        axes.legend(loc="lower right")
        grid = right.subplots(4, 5)
        for i in range(10):
            row, column = 2 * (i // 5), i % 5
            bare(grid[row, column], test[0][shown[i], :, :, 0])
            bound = abs(maps[i]).max()
            bare(grid[row + 1, column], maps[i, :, :, 0], cmap="RdBu_r", vmin=-bound, vmax=bound)

    return Outcome(
        checks=[
            Check(
                "test images told rightly", rates[-1], 100 * rival.score(test[0].reshape(-1, 64), test[1]), 2.5,
                "scikit-learn's support vector machine", "%",
            ),
            Check("largest difference of a convolution", float(difference), 0, 2e-6, "scipy.signal.correlate2d"),
        ],
        draw=draw,
        facts={
            "weights": f"{sum(x.size for x in pb.tree.leaves(params)):,}",
            "training loss": f"{losses[-1]:.4f} nats per image",
        },
    )  # fmt: skip
