"""A photograph made sharp again, by total variation.

A camera that shook has recorded b = Ax + noise: each pixel is a mean over its neighbours. To solve for x
alone would amplify the noise; so among all images the one is taken that has the least

    ½ |Ax − b|² + λ TV(x),     TV(x) = Σ over pixels of |∇x|,

which forgives edges but no grain. TV has no derivative where it matters, so the method is primal–dual
(Chambolle and Pock): it needs the linear map K = (A, ∇), its transpose, and two simple projections. Here A
and ∇ are programs, and the transpose is `linear_transpose`'s: nobody writes an adjoint.

How good the result is can be known without knowing the image: the dual problem's value is below the primal
one's, so their gap bounds what is left to gain. As the whole iteration is a `lax.scan`, its derivative in λ
is one forward pass: with it λ is learned from an image of which the sharp version is known.

A. Chambolle, T. Pock, "A first-order primal-dual algorithm for convex problems", J. Math. Imaging Vis. 40
(2011); L. Rudin, S. Osher, E. Fatemi, Physica D 60 (1992); K. Kunisch, T. Pock, "A bilevel optimization
approach for parameter learning in variational models", SIAM J. Imaging Sci. 6 (2013).
"""

from __future__ import annotations

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, VERMILION, Check, Outcome, bare, progress
from pullback import lax, random

TURN = np.linspace(0, np.pi / 2, 13)
# Where the camera looks while the shutter is open, in pixels, up to an offset: a quarter of a circle.
PATH = sorted({(round(8 * np.sin(t)), round(8 * np.cos(t))) for t in TURN})


def blur(x):
    height, width = x.shape
    padded = jnp.pad(x, 4, mode="edge")
    return sum(padded[i : i + height, j : j + width] for i, j in PATH) / len(PATH)


def gradient(x):
    """Differences to the pixels below and to the right, 0 at the border: (2, height, width)."""
    return jnp.stack([jnp.diff(x, axis=0, append=x[-1:]), jnp.diff(x, axis=1, append=x[:, -1:])])


def length(v):
    """Of the vector at each pixel."""
    return jnp.sqrt(jnp.maximum(jnp.sum(v**2, 0), 1e-30))


def restore(A, b, weight, iterations, ratio=10.0):
    """The image x, with values from 0 to 1, for the map A and λ = weight; also the relative gap between
    the primal and the dual problem after each iteration."""
    K = lambda x: (A(x), gradient(x))
    transpose = pb.linear_transpose(K, b)
    step = 0.95 / norm(K, transpose, b)
    along, across = step * ratio, step / ratio  # x is of the size of grey values, p and q of noise and λ

    def primal(x):
        return jnp.sum((A(x) - b) ** 2) / 2 + weight * jnp.sum(length(gradient(x)))

    def iteration(state, _):
        x, ahead, p, q = state
        u, v = K(ahead)
        p = (p + across * (u - b)) / (1 + across)
        q = q + across * v
        q = q / jnp.maximum(1, length(q) / weight)
        (down,) = transpose((p, q))
        new = jnp.clip(x - along * down, 0, 1)
        dual = -jnp.sum(p**2) / 2 - jnp.sum(p * b) - jnp.sum(jnp.maximum(-down, 0))
        return (new, 2 * new - x, p, q), (primal(new) - dual) / primal(new)

    start = b, b, jnp.zeros_like(b), jnp.zeros((2, *b.shape))
    (x, *_), gaps = lax.scan(iteration, start, None, length=iterations)
    return x, gaps


def norm(K, transpose, like):
    """|K|, by 20 power iterations of KᵀK."""

    iteration = lambda x, _: (transpose(K(x / jnp.linalg.norm(x)))[0], None)
    start = random.normal(random.key(0), like.shape, like.dtype)
    return jnp.sqrt(jnp.linalg.norm(lax.scan(iteration, start, None, length=20)[0]))


def noise_to_signal(x, sharp):  # in decibels
    return 10 * jnp.log10(jnp.mean((x - sharp) ** 2))


def photograph(size):
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg")[90 : 90 + size, 280 : 280 + size].mean(2) / 255


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    size, iterations = (48, 200) if small else (192, 250)
    sharp = photograph(size)
    b = blur(sharp) + 0.01 * random.normal(random.key(1), sharp.shape)

    def error(log_weight):
        x, gaps = restore(blur, b, jnp.exp(log_weight), iterations)
        return noise_to_signal(x, sharp), (x, gaps)

    with_slope = pb.jit(lambda log_weight: pb.jvp(error, (log_weight,), (1.0,), has_aux=True))

    # Where the derivative changes its sign: by bisection, of log λ.
    low, high = np.log(1e-4), np.log(1e-1)
    tried = []
    for _ in progress(range(3 if small else 6), "choosing λ"):
        middle = (low + high) / 2
        value, slope, (x, gaps) = with_slope(middle)
        tried.append((np.exp(middle), value, slope))
        low, high = (low, middle) if slope > 0 else (middle, high)
    difference = (with_slope(middle + 1e-4)[0] - with_slope(middle - 1e-4)[0]) / 2e-4

    y = random.normal(random.key(2), b.shape)
    product, transposed = jnp.vdot(blur(sharp), y), jnp.vdot(sharp, pb.linear_transpose(blur, b)(y)[0])

    # Of two grey halves, total variation moves each towards the other by λ over its width.
    halves = jnp.where(jnp.arange(24) < 8, 0.2, 0.8) * jnp.ones((12, 1))
    flat, _ = restore(lambda x: x, halves, 0.4, 1000, ratio=1.0)

    def draw(figure):
        axes = figure.subplot_mosaic([["sharp", "recorded", "restored"], ["slope"] * 3], height_ratios=(1.9, 1))
        for title, image in {"sharp": sharp, "recorded": b, "restored": x}.items():
            psnr = "" if image is sharp else f", {-noise_to_signal(image, sharp):.1f} dB"
            bare(axes[title], np.clip(image, 0, 1), title + psnr, cmap="gray", vmin=0, vmax=1)
        for weight, value, slope in tried:
            axes["slope"].plot(np.log10(weight), value, "o", color=BLUE)
            reach = np.array([-0.2, 0.2])
            axes["slope"].plot(np.log10(weight) + reach / np.log(10), value + slope * reach, color=VERMILION)
        axes["slope"].set(xlabel="log₁₀ λ", ylabel="error in dB, and slope")

    return Outcome(
        checks=[
            Check("gap to the dual problem, of the minimum", gaps[-1], 0, 0.02, "duality"),
            Check("⟨Ax, y⟩", product, transposed, 1e-9 * abs(product), "⟨x, Aᵀy⟩"),
            Check("derivative of the error in log λ", slope, difference, 2e-3, "a central difference", "dB"),
            Check(
                "contrast of two halves", flat[-1, -1] - flat[0, 0], 0.6 - 0.4 / 8 - 0.4 / 16, 1e-4, "the closed form"
            ),
        ],
        draw=draw,
        facts={
            "signal to noise": f"{-noise_to_signal(b, sharp):.2f} dB recorded, {-value:.2f} dB restored",
            "λ": f"{np.exp(middle):.2e}, for {size} × {size} pixels",
        },
    )
