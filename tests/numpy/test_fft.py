"""numpy.fft against NumPy's, jitted and not, and its derivatives against the conformance suite's primitive."""

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp

RNG = np.random.default_rng(0)
REAL, COMPLEX = RNG.normal(size=(3, 4, 5)), RNG.normal(size=(3, 4, 5)) + 1j * RNG.normal(size=(3, 4, 5))
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
MANY = ["fftn", "ifftn", "rfftn", "irfftn"]


def argument(name):
    return REAL if name.startswith(("r", "ihfft")) else COMPLEX


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize(("n", "axis"), [(None, -1), (3, 0), (8, 1), (5, 2)])
@pytest.mark.parametrize("name", ONE)
def test_one_axis(name, n, axis, norm):
    with pb.enable_x64(True):
        x = argument(name)
        expected = getattr(np.fft, name)(x, n, axis, norm)
        f = lambda x: getattr(jnp.fft, name)(x, n, axis, norm)
        for got in (f(x), pb.jit(f)(x)):
            assert got.shape == expected.shape and got.dtype == expected.dtype
            assert np.allclose(got, expected)


@pytest.mark.parametrize(("s", "axes"), [(None, None), (None, (0, 2)), ((4, 3), (2, 0)), (None, (1, 0, 2))])
@pytest.mark.parametrize("name", MANY)
def test_many_axes(name, s, axes):
    with pb.enable_x64(True):
        x = argument(name)
        expected = getattr(np.fft, name)(x, s, axes)
        assert np.allclose(getattr(jnp.fft, name)(x, s, axes), expected)


@pytest.mark.parametrize("name", MANY)
def test_more_axes_than_the_compiler_takes(name):
    with pb.enable_x64(True):
        x = RNG.normal(size=(2, 3, 2, 3, 2))
        x = x if name == "rfftn" else x + 1j
        expected = getattr(np.fft, name)(x)
        assert np.allclose(getattr(jnp.fft, name)(x), expected)


def test_two_axes_frequencies_and_shifts():
    with pb.enable_x64(True):
        assert np.allclose(jnp.fft.fft2(COMPLEX), np.fft.fft2(COMPLEX))
        assert np.allclose(jnp.fft.irfft2(COMPLEX), np.fft.irfft2(COMPLEX))
        for n in (1, 4, 5):
            assert np.allclose(jnp.fft.fftfreq(n, 0.5), np.fft.fftfreq(n, 0.5))
            assert np.allclose(jnp.fft.rfftfreq(n), np.fft.rfftfreq(n))
        assert np.array_equal(jnp.fft.fftshift(REAL), np.fft.fftshift(REAL))
        assert np.array_equal(jnp.fft.ifftshift(REAL, 1), np.fft.ifftshift(REAL, 1))


def test_gradients_through_a_convolution_theorem():
    def power(x):
        return jnp.sum(jnp.abs(jnp.fft.rfft(x, norm="ortho")) ** 2)

    x = jnp.asarray(REAL[0, 0])
    y = np.fft.rfft(np.asarray(x), norm="ortho")
    weights = np.ones(3)
    expected = 2 * np.fft.irfft(np.concatenate([y[:1], y[1:] / 2]) * weights, 5, norm="ortho")
    assert np.allclose(pb.grad(power)(x), expected, atol=1e-5)
    assert np.allclose(pb.jit(pb.grad(power))(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jnp.fft.rfft(COMPLEX), "real-valued"),
        (lambda: jnp.fft.fft(REAL, norm="half"), "norm"),
        (lambda: jnp.fft.fftn(REAL, axes=(0, 0)), "repeated"),
        (lambda: jnp.fft.fft(REAL, n=0), "positive"),
        (lambda: jnp.fft.fft2(REAL, axes=(0, 1, 2)), "2 axes"),
        (lambda: pb.lax.fft(REAL, "FHT", (5,)), "unknown FFT type"),
        (lambda: pb.lax.fft(REAL, "RFFT", (4,)), "RFFT of lengths"),
        (lambda: jnp.fft.rfft(jnp.ones(3, "bfloat16")), "float32 or float64"),
        (lambda: jnp.fft.rfft(jnp.zeros(0)), "number of data points"),
        (lambda: jnp.fft.fft(REAL, axis=(0, 1)), "fft is along one axis.*fftn"),
        (lambda: jnp.fft.irfft(REAL, axis=[0]), "irfft is along one axis.*irfftn"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", [9, True, None, (0,)])
def test_what_is_no_type_of_transforms(kind):
    with pytest.raises(TypeError, match="unknown FFT type"):
        pb.lax.fft(REAL, kind, (5,))


@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "fftn", "ifftn", "irfftn"])
def test_transforms_of_nothing(name):
    real = name in ("irfft", "hfft", "irfftn")
    for f in (getattr(jnp.fft, name), pb.jit(getattr(jnp.fft, name))):
        for shape in ((0,), (2, 0), (0, 0)):
            out = f(jnp.zeros(shape))
            assert out.shape == shape and out.dtype == ("float32" if real else "complex64")
        if real:
            assert f(jnp.zeros((3, 1))).shape == (3, 0)
    for x in (jnp.zeros((2, 0)), jnp.zeros((2, 2))):
        with pytest.raises(ValueError, match="norm must be"):
            getattr(jnp.fft, name)(x, norm="other")
    assert pb.grad(lambda x: jnp.sum(jnp.abs(jnp.fft.fft(x))))(jnp.zeros((2, 0))).shape == (2, 0)
    halves = jnp.fft.rfftn(jnp.zeros((0, 3)))
    assert halves.shape == (0, 2) and halves.dtype == "complex64"


@pytest.mark.parametrize("n", [4, 4.0, np.int32(4), np.float32(4), jnp.int32(4), jnp.float32(4)])
def test_numbers_of_samples(n):
    assert jnp.fft.fftfreq(n).tolist() == [0, 0.25, -0.5, -0.25]
    assert jnp.fft.rfftfreq(n).tolist() == [0, 0.25, 0.5]


@pytest.mark.parametrize("n", ["a", None, (4,), np.array([4]), 1.5, 0, -1, 1j])
def test_what_is_no_number_of_samples(n):
    for f in (jnp.fft.fftfreq, jnp.fft.rfftfreq):
        with pytest.raises((TypeError, ValueError), match="n must be|n is a number of"):
            f(n)


@pytest.mark.parametrize("d", [[1.0], (1.0, 2.0)])
def test_what_is_no_distance_of_samples(d):
    for f in (jnp.fft.fftfreq, jnp.fft.rfftfreq):
        with pytest.raises(ValueError, match=f"^{f.__name__}: d must be a number"):
            f(4, d)
