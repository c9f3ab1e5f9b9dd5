import pullback as pb
import pullback.numpy as np

pb.config.update("enable_x64", True)  # Autograd computes in float64


def logistic_loss(weights, inputs, targets):
    p = 1 / (1 + np.exp(-np.dot(inputs, weights)))
    return -np.sum(np.log(p * targets + (1 - p) * (1 - targets)))


inputs = np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
targets = np.array([1.0, 1.0, 0.0, 1.0])
weights = np.zeros(3)
for _ in range(100):
    weights = weights - 0.1 * pb.grad(logistic_loss)(weights, inputs, targets)

slope = pb.vmap(pb.grad(np.tanh))(np.linspace(-2, 2, 5))
curvature = pb.hessian(logistic_loss)(weights, inputs, targets)
result = np.concatenate([weights, slope, curvature.ravel()])
