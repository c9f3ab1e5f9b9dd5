import numpy as np

import pullback as pb
import pullback.numpy as jnp
from pullback.interop.scipy import minimize, solve_ivp

pb.config.update("enable_x64", True)  # SciPy computes in float64


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


found = minimize(rosenbrock, np.zeros(5), method="BFGS", options={"gtol": 1e-8})


def rate(t, y):  # Robertson's stiff reactions
    slow, fast = 0.04 * y[0] - 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return jnp.stack([-slow, slow - fast, fast])


path = solve_ivp(rate, (0, 40), np.array([1.0, 0, 0]), method="BDF", rtol=1e-8, atol=1e-10)
result = np.concatenate([found.x, path.y[:, -1]])
