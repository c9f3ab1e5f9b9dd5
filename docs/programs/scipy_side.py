import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_gradient(x):  # by hand
    g = np.zeros_like(x)
    g[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    g[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return g


found = minimize(rosenbrock, np.zeros(5), jac=rosenbrock_gradient, method="BFGS", options={"gtol": 1e-8})


def rate(t, y):  # Robertson's stiff reactions
    slow, fast = 0.04 * y[0] - 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return np.array([-slow, slow - fast, fast])


def rate_jacobian(t, y):  # by hand
    return np.array(
        [[-0.04, 1e4 * y[2], 1e4 * y[1]], [0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]], [0, 6e7 * y[1], 0]]
    )


path = solve_ivp(rate, (0, 40), np.array([1.0, 0, 0]), method="BDF", jac=rate_jacobian, rtol=1e-8, atol=1e-10)
result = np.concatenate([found.x, path.y[:, -1]])
