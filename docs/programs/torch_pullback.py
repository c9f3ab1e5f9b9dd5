import pullback as pb
import pullback.numpy as jnp
from pullback.example_libraries import optimizers

x = jnp.linspace(-1, 1, 32).reshape(-1, 1)
y = jnp.sin(3 * x)
params = {
    "w1": jnp.linspace(-2, 2, 16).reshape(1, 16),
    "b1": jnp.linspace(1, -1, 16),
    "w2": jnp.full((16, 1), 0.1),
}


def loss_of(w1, b1, w2):
    return jnp.mean((jnp.tanh(x @ w1 + b1) @ w2 - y) ** 2)


start, update, current = optimizers.momentum(0.05, mass=0.9)


@pb.jit
def step(i, state):
    loss, grads = pb.value_and_grad(lambda p: loss_of(**p))(current(state))
    return loss, update(i, grads, state)


state = start(params)
for i in range(200):
    loss, state = step(i, state)

params = current(state)
hessian = pb.hessian(loss_of, argnums=2)(params["w1"], params["b1"], params["w2"])
result = jnp.concatenate([loss.reshape(1), hessian.ravel()])
