"""The streams are JAX's, number by number, in both layouts: stored values of JAX 0.10.2 (black box), seed 42."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback
from pullback import random
from pullback.core import config

# (call, values with threefry_partitionable=False, values with threefry_partitionable=True)
# fmt: off
STORED: list[tuple[str, Any, Any]] = [
    ('bits(key, (3,), "uint8")',
     [143, 4, 62], [162, 217, 249]),
    ('bits(key, (3,), "uint16")',
     [45869, 983, 33780], [5026, 12505, 63993]),
    ('bits(key, (3,), "uint32")',
     [2465931498, 430176367, 255383827], [2098992034, 2919706841, 2646866425]),
    ('uniform(key, (3,))',
     [0.57414436, 0.10015821, 0.059461117], [0.48870957, 0.67979717, 0.6162715]),
    ('uniform(key, (3,), "float16")',
     [0.69921875, 0.014648438, 0.51464844], [0.076171875, 0.19042969, 0.97558594]),
    ('uniform(key, (3,), "bfloat16")',
     [0.5546875, 0.015625, 0.2421875], [0.6328125, 0.84375, 0.96875]),
    ('uniform(key, (2,), minval=-2.0, maxval=np.float32([1, 5]))',
     [-1.95497, 2.7527399], [-0.53387129, 2.7585802]),
    ('normal(key, (3,))',
     [0.18693547, -1.2806505, -1.5593132], [-0.028304616, 0.46713185, 0.29570296]),
    ('normal(key, (3,), "bfloat16")',
     [0.14257812, -2.109375, -0.69140625], [0.34375, 1.015625, 1.890625]),
    ('normal(key, (2,), "complex64")',
     [0.45903295+1.2062124j, -0.47554582-0.17316023j], [0.053687461+0.42833984j, -0.34389618+0.56500947j]),
    ('randint(key, (4,), 0, 10)',
     [5, 4, 7, 3], [4, 4, 1, 9]),
    ('randint(key, (4,), -100, 1000, "int16")',
     [295, 734, 237, 93], [44, 814, 371, 469]),
    ('randint(key, (4,), -300, 300, "int8")',
     [91, -78, -63, 49], [68, -110, 55, 65]),
    ('randint(key, (4,), 0, 256, "uint8")',
     [219, 50, 65, 177], [196, 18, 183, 193]),
    ('randint(key, (4,), -2**31, 2**31 - 1)',
     [-922686757, 1340423986, -1393061567, 1840045233], [977810628, 1236381714, -1367112521, -1019495231]),
    ('permutation(key, 6)',
     [3, 0, 2, 1, 5, 4], [4, 2, 5, 3, 0, 1]),
    ('permutation(key, np.arange(6).reshape(2, 3), axis=1)',
     [[2, 0, 1], [5, 3, 4]], [[2, 0, 1], [5, 3, 4]]),
    ('permutation(key, np.arange(6).reshape(2, 3), axis=1, independent=True)',
     [[0, 2, 1], [3, 5, 4]], [[2, 0, 1], [4, 5, 3]]),
    ('choice(key, 10, (4,))',
     [5, 4, 7, 3], [4, 4, 1, 9]),
    ('choice(key, 6, (4,), replace=False)',
     [3, 0, 2, 1], [4, 2, 5, 3]),
    ('choice(key, 4, (4,), p=np.float32([0.1, 0.2, 0.3, 0.4]))',
     [2, 1, 3, 3], [2, 2, 2, 2]),
    ('choice(key, 4, (3,), replace=False, p=np.float32([0.1, 0.2, 0.3, 0.4]))',
     [1, 0, 3], [3, 2, 1]),
    ('choice(key, np.arange(6).reshape(2, 3), (2,), axis=1)',
     [[0, 1], [3, 4]], [[0, 0], [3, 3]]),
    ('bernoulli(key, 0.3, (6,))',
     [False, False, False, True, True, False], [False, False, False, False, False, False]),
    ('bernoulli(key, np.float32([0.3, 0.6]), (3, 2), mode="high")',
     [[False, True], [False, False], [True, True]], [[False, False], [False, True], [False, True]]),
    ('rademacher(key, (6,))',
     [-1, -1, -1, 1, 1, -1], [1, -1, -1, -1, 1, -1]),
    ('categorical(key, np.float32([0, 1, 2]), shape=(6,))',
     [2, 2, 1, 2, 2, 2], [2, 2, 2, 2, 1, 2]),
    ('categorical(key, np.float32([[0, 1, 2], [2, 1, 0]]), axis=0)',
     [1, 0, 0], [1, 0, 0]),
    ('categorical(key, np.float32([0, 1, 2, 3]), shape=(3,), replace=False)',
     [1, 3, 2], [3, 2, 1]),
    ('exponential(key, (3,))',
     [0.85365486, 0.10553633, 0.061302289], [0.67081749, 1.1388006, 0.95782]),
    ('gumbel(key, (3,))',
     [0.58901346, -0.83334565, -1.0375992], [0.33409339, 0.95201945, 0.72553056]),
    ('gumbel(key, (3,), mode="high")',
     [-0.26900566, -0.71002311, -0.72176993], [0.39925799, -0.12997562, 0.043095414]),
    ('laplace(key, (3,))',
     [-0.16050775, 1.6078568, 2.1292851], [0.022839652, -0.44565356, -0.26467291]),
    ('logistic(key, (3,))',
     [0.29878044, -2.1954679, -2.7611306], [-0.045169413, 0.7528398, 0.47375232]),
    ('cauchy(key, (3,))',
     [0.2372378, -3.0724823, -5.290822], [-0.035484631, 0.63372612, 0.38244057]),
    ('gamma(key, 2.5, (3,))',
     [0.67145127, 3.6169729, 5.2734313], [4.3780751, 1.5007864, 4.1941113]),
    ('gamma(key, 0.3, (3,))',
     [0.019097473, 0.46768978, 0.45896357], [0.43624744, 0.32009867, 1.0384699]),
    ('loggamma(key, np.float32([0.001, 5.0]))',
     [-548.64783, 0.96799469], [-537.9234, 1.2951889]),
    ('beta(key, 2.0, 0.5, (3,))',
     [0.37328747, 0.56641334, 0.90993947], [0.94893628, 0.99964106, 0.91806251]),
    ('dirichlet(key, np.float32([1, 2, 0.5]))',
     [0.011695308, 0.71755648, 0.27074829], [0.43898296, 0.22352669, 0.33749026]),
    ('poisson(key, 3.0, (5,))',
     [4, 3, 2, 2, 4], [6, 2, 2, 1, 5]),
    ('poisson(key, 50.0, (5,))',
     [49, 46, 52, 47, 49], [55, 56, 43, 45, 40]),
    ('binomial(key, 10, 0.3, (5,))',
     [4, 3, 0, 3, 3], [2, 5, 2, 2, 4]),
    ('binomial(key, 200, 0.7, (5,))',
     [141, 144, 138, 143, 141], [135, 134, 147, 145, 149]),
    ('multinomial(key, 20, np.float32([0.2, 0.3, 0.5]))',
     [5, 6, 9], [4, 4, 12]),
    ('truncated_normal(key, -1.0, 2.0, (3,))',
     [0.3282713, -0.7042318, -0.81572115], [0.14770006, 0.56844491, 0.42102551]),
    ('multivariate_normal(key, np.float32([1, -1]), np.float32([[2, 0.5], [0.5, 1]]))',
     [-2.0685973, -1.3323681], [0.95997125, -0.57304537]),
    ('chisquare(key, 3.0, (3,))',
     [0.40854323, 4.5994902, 7.4171033], [5.8707142, 1.397851, 5.5594234]),
    ('t(key, 4.0, (3,))',
     [0.5128094, 0.93782526, 1.1232156], [0.086212173, -1.2958956, 2.0797083]),
    ('f(key, 3.0, 5.0, (3,))',
     [2.1340861, 1.8838124, 1.4481857], [0.72836351, 0.35692549, 0.23560737]),
    ('pareto(key, 2.0, (3,))',
     [1.5323882, 1.0541853, 1.0311258], [1.3985119, 1.7672069, 1.6143138]),
    ('rayleigh(key, 2.0, (3,))',
     [2.1068923, 4.2904582, 4.7517853], [2.3933022, 1.7571814, 1.9678774]),
    ('maxwell(key, (3,))',
     [1.0472691, 1.6044248, 0.84687692], [0.55358249, 0.29328507, 1.708603]),
    ('double_sided_maxwell(key, 1.0, 2.0, (3,))',
     [3.8727117, -1.6279571, 2.4027519], [-1.7620435, -0.35137796, 5.4440427]),
    ('weibull_min(key, 2.0, 3.0, (3,))',
     [1.897248, 0.94514257, 0.78859776], [1.7507795, 2.0885549, 1.9714751]),
    ('wald(key, 2.0, (3,))',
     [0.83949196, 0.56068707, 0.36150169], [2.2265885, 3.9277124, 0.38947535]),
    ('triangular(key, 0.0, 0.3, 1.0, (3,))',
     [0.45401561, 0.17334205, 0.13356024], [0.40174979, 0.52656364, 0.48172408]),
    ('lognormal(key, 0.5, (3,))',
     [1.0979751, 0.52712095, 0.45856345], [0.98594737, 1.2630961, 1.1593407]),
    ('geometric(key, 0.2, (5,))',
     [2, 1, 8, 8, 8], [4, 2, 3, 3, 4]),
    ('generalized_normal(key, 1.5, (3,))',
     [0.36558408, -0.10262568, 1.1672015], [-0.87823755, -0.20616245, 1.160471]),
    ('ball(key, 3)',
     [-0.0956643, 0.50075984, -0.12461533], [0.32340229, 0.061338749, 0.018243387]),
    ('orthogonal(key, 2)',
     [[0.11903083, 0.99289054], [-0.99289054, 0.11903089]], [[-0.095284224, 0.99545008], [0.99545008, 0.095284283]]),
]
STORED_64: list[tuple[str, Any, Any]] = [
    ("bits(key, (3,))",
     [13462782411356743825, 16033796027023006562, 16091099645456652183],
     [7871734211187709741, 276886910877598708, 10591095138341673235]),
    ("uniform(key, (3,))",
     [0.7298188969046309, 0.8691938242843895, 0.8723002596642415],
     [0.4267275666499091, 0.015010069515314584, 0.5741444178995352]),
    ("normal(key, (3,))",
     [0.6122653570510959, 1.1225883830713081, 1.1373320995160152],
     [-0.18471174528191162, -2.169824560397754, 0.18693555179382582]),
    ("randint(key, (3,), 0, 10**12)",
     [885417948169, 22967057224, 657785173210], [464050701877, 604979476158, 848944880791]),
    ("permutation(key, 4)", [2, 0, 1, 3], [2, 3, 0, 1]),
    ("gamma(key, 2.5, (2,))", [2.7879006532132293, 3.753741263068483], [2.8769331987267917, 1.8851142907505218]),
    ("poisson(key, 30.0, (3,))", [40, 26, 28], [34, 35, 24]),
    ("vmap(lambda k: random.poisson(k, 30.0, (3,)))(random.split(key, 2))",
     [[20, 40, 33], [44, 40, 29]], [[29, 21, 30], [33, 30, 34]]),
    ("vmap(lambda r: random.poisson(key, r, (3,)))(np.float32([20, 30]))",
     [[28, 17, 18], [40, 26, 28]], [[23, 24, 15], [34, 35, 24]]),
    ("vmap(lambda k, a: random.gamma(k, a))(random.split(key, 3), np.float32([0.5, 1, 2]))",
     [1.028715030748612, 0.06432810309103788, 2.009350505704063],
     [0.12584848460886802, 1.0221781052934664, 1.261962259210033]),
    ("vmap(lambda a: random.gamma(key, a, (2,)))(np.float32([0.5, 2]))",
     [[0.350709509151958, 0.02113328029394948], [2.2180503417980684, 3.095553536739115]],
     [[0.19865354933259452, 0.014509096904634517], [2.2980183424083127, 1.4213185612322232]]),
    ("vmap(lambda s: random.normal(random.key(s), (2,), 'float32'))(np.arange(3))",
     [[-0.7847659587860107, 0.8564448356628418], [-0.11617039144039154, 2.2125062942504883],
      [-1.0433589220046997, 0.7174305319786072]],
     [[1.622642159461975, 2.0252647399902344], [-0.15443718433380127, 0.08470727503299713],
      [0.3605741560459137, 1.2849894762039185]]),
    ("key_data(random.split(random.key(7), (2, 2)))",
     [[[51277378, 1628829261], [1440439266, 395909871]], [[3088387524, 4291721531], [3731608162, 3705585371]]],
     [[[3625411723, 1954958720], [195045567, 4062205631]], [[966301609, 1948237315], [276534068, 1641862660]]]),
    ("fold_in(random.PRNGKey(7), 123456789)", [3349933111, 58029761], [3349933111, 58029761]),
]
# fmt: on


def check(call: str, expected: Any, partitionable: bool, make_key: Any, rtol: float) -> None:
    with config.threefry_partitionable(partitionable):
        names = {**vars(random), "np": np, "random": random, "vmap": pullback.vmap, "key": make_key(42)}
        actual = np.asarray(eval(call, names))
    if actual.dtype.kind in "biu":
        np.testing.assert_array_equal(actual, expected)
    else:
        wide = actual.astype(np.complex128 if actual.dtype.kind == "c" else np.float64)
        np.testing.assert_allclose(wide, expected, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("partitionable", [False, True])
@pytest.mark.parametrize("row", STORED, ids=lambda row: row[0])
def test_stored_values(row: tuple[str, Any, Any], partitionable: bool) -> None:
    check(row[0], row[1 + partitionable], partitionable, random.PRNGKey, 2e-6)


@pytest.mark.parametrize("partitionable", [False, True])
@pytest.mark.parametrize("row", STORED_64, ids=lambda row: row[0])
def test_stored_values_in_64_bits(row: tuple[str, Any, Any], partitionable: bool) -> None:
    with pullback.enable_x64(True):
        check(row[0], row[1 + partitionable], partitionable, random.key, 1e-9 if "float32" not in row[0] else 1e-6)


@pytest.mark.parametrize("make_key", [random.PRNGKey, random.key])
def test_values_of_the_autodiff_cookbook(make_key: Any) -> None:
    _, w_key, b_key = random.split(make_key(0), 3)
    np.testing.assert_allclose(random.normal(w_key, (3,)), [-0.36838785, -2.2756887, 0.011447566], rtol=1e-6)
    np.testing.assert_allclose(random.normal(b_key, ()), 0.8535516, rtol=1e-6)


# Salmon et al., SC 2011: the known answers distributed with Random123, as (counter, key, result).
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize("lanes", [1, 5, 500])
@pytest.mark.parametrize("counter, key, result", KNOWN_ANSWERS)
def test_threefry_gives_the_known_answers(counter: Any, key: Any, result: Any, lanes: int) -> None:
    from pullback.core.array import as_array
    from pullback.lax.random_bits import threefry2x32_p

    operands = [as_array(np.uint32(k)) for k in key] + [as_array(np.full(lanes, c, np.uint32)) for c in counter]
    for word, expected in zip(threefry2x32_p.bind(*operands), result):
        np.testing.assert_array_equal(word, np.full(lanes, expected, np.uint32))


@pytest.mark.parametrize("partitionable", [False, True])
@pytest.mark.parametrize("width", [8, 16, 32, 64])
@pytest.mark.parametrize("size", [1, 257, 70001])
def test_blocks_join_without_a_seam(
    width: int, size: int, partitionable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pullback.lax import threefry

    keys = np.array([[1, 2], [3, 4], [5, 6]], np.uint32)
    blocked = threefry.draw(keys, size, width, partitionable)
    monkeypatch.setattr(threefry, "_BLOCK", 10**9)
    np.testing.assert_array_equal(blocked, threefry.draw(keys, size, width, partitionable))
    monkeypatch.setattr(threefry, "_BLOCK", 100)
    np.testing.assert_array_equal(blocked, threefry.draw(keys, size, width, partitionable))
    monkeypatch.setattr(threefry, "_FEW_LANES", 0)
    np.testing.assert_array_equal(blocked[:, :50], threefry.draw(keys, size, width, partitionable)[:, :50])


def test_partitionable_streams_are_prefixes_of_each_other() -> None:
    with config.threefry_partitionable(True):
        long, short = random.normal(random.key(1), (1000,)), random.normal(random.key(1), (10,))
    np.testing.assert_array_equal(np.asarray(long)[:10], short)


def test_a_staged_program_keeps_the_layout_it_was_staged_with() -> None:
    key = random.key(3)
    program = pullback.make_jaxpr(lambda k: random.bits(k, (3,)))(key)
    expected = random.bits(key, (3,))
    with config.threefry_partitionable(True):
        assert "partitionable=False" in str(program)
        assert not np.array_equal(random.bits(key, (3,)), expected)
