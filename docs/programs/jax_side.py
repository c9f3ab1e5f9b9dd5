import jax
import jax.numpy as jnp
from jax import lax


def pendulum(theta, length, steps=100, dt=0.02):
    def step(state, _):
        angle, speed = state
        speed = speed - dt * 9.81 / length * jnp.sin(angle)
        return (angle + dt * speed, speed), angle

    return lax.scan(step, (theta, 0.0), None, length=steps)[1]


@jax.jit
def sensitivity(theta, length):
    return jax.jacfwd(pendulum, argnums=1)(theta, length)


result = sensitivity(0.5, 1.0)
