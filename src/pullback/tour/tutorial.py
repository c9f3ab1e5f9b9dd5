"""The tutorial "Automatic differentiation" of JAX's documentation (2024): its code, verbatim, and
the values it prints.

Where the copies of the document lost a cell's output, the value is the one that its text states, or
the exact one.
"""

from __future__ import annotations

from pullback.tour.documents import ASSERTED, EXACT, STATED, Cell, Document, Section, Value

#: The loss is about 3.05, where float32 numbers are 2⁻²² apart. If each of the two losses in a
#: difference quotient of step 1e-4 comes out one last bit apart from the document's, the quotient
#: is off by 2 · 2⁻²² / 1e-4. (The two documents differ by one bit.)
DIFFERENCE_QUOTIENT = 2 * 2.0**-22 / 1e-4
LAST_BITS = "a difference quotient in float32: one last bit of each of two losses, 2·2⁻²²/1e-4"

DOCUMENT = Document(
    "Automatic differentiation",
    "https://docs.jax.dev/en/latest/automatic-differentiation.html",
    (
        Section(
            "Taking gradients",
            "grad(f) is a function that evaluates ∇f. It applies to its own results, so higher derivatives are a matter of stacking.",
            (
                Cell(
                    """
                    import jax
                    import jax.numpy as jnp
                    from jax import grad

                    grad_tanh = grad(jnp.tanh)
                    print(grad_tanh(2.0))
                    """,
                    Value("grad(jnp.tanh)(2.0)", "0.0706508249", EXACT),
                ),
                Cell(
                    """
                    print(grad(grad(jnp.tanh))(2.0))
                    print(grad(grad(grad(jnp.tanh)))(2.0))
                    """,
                    Value("grad(grad(jnp.tanh))(2.0)", "-0.1362186874", EXACT),
                    Value("grad(grad(grad(jnp.tanh)))(2.0)", "0.2526540651", EXACT),
                ),
                Cell(
                    """
                    f = lambda x: x**3 + 2*x**2 - 3*x + 1

                    dfdx = jax.grad(f)
                    """
                ),
                Cell(
                    """
                    d2fdx = jax.grad(dfdx)
                    d3fdx = jax.grad(d2fdx)
                    d4fdx = jax.grad(d3fdx)
                    """
                ),
                Cell(
                    """
                    print(dfdx(1.))
                    print(d2fdx(1.))
                    print(d3fdx(1.))
                    print(d4fdx(1.))
                    """,
                    Value("dfdx(1.)  # f'(x) = 3x² + 4x − 3", "4", STATED),
                    Value("d2fdx(1.)  # f''(x) = 6x + 4", "10", STATED),
                    Value("d3fdx(1.)  # f'''(x) = 6", "6", STATED),
                    Value("d4fdx(1.)", "0", STATED),
                ),
            ),
        ),
        Section(
            "Gradients in a linear logistic regression",
            "A model with weights W and b, a loss, and its gradient with respect to either or both (argnums).",
            (
                Cell(
                    """
                    key = jax.random.key(0)

                    def sigmoid(x):
                      return 0.5 * (jnp.tanh(x / 2) + 1)

                    # Outputs probability of a label being true.
                    def predict(W, b, inputs):
                      return sigmoid(jnp.dot(inputs, W) + b)

                    # Build a toy dataset.
                    inputs = jnp.array([[0.52, 1.12,  0.77],
                                        [0.88, -1.08, 0.15],
                                        [0.52, 0.06, -1.30],
                                        [0.74, -2.49, 1.39]])
                    targets = jnp.array([True, True, False, True])

                    # Training loss is the negative log-likelihood of the training examples.
                    def loss(W, b):
                      preds = predict(W, b, inputs)
                      label_probs = preds * targets + (1 - preds) * (1 - targets)
                      return -jnp.sum(jnp.log(label_probs))

                    # Initialize random model coefficients
                    key, W_key, b_key = jax.random.split(key, 3)
                    W = jax.random.normal(W_key, (3,))
                    b = jax.random.normal(b_key, ())
                    """
                ),
                Cell(
                    """
                    # Differentiate `loss` with respect to the first positional argument:
                    W_grad = grad(loss, argnums=0)(W, b)
                    print(f'{W_grad=}')

                    # Since argnums=0 is the default, this does the same thing:
                    W_grad = grad(loss)(W, b)
                    print(f'{W_grad=}')

                    # But you can choose different values too, and drop the keyword:
                    b_grad = grad(loss, 1)(W, b)
                    print(f'{b_grad=}')

                    # Including tuple values
                    W_grad, b_grad = grad(loss, (0, 1))(W, b)
                    print(f'{W_grad=}')
                    print(f'{b_grad=}')
                    """,
                    Value(
                        "grad(loss, argnums=0)(W, b)", "Array([-0.16965583, -0.8774644 , -1.4901346 ], dtype=float32)"
                    ),
                    Value("grad(loss)(W, b)", "Array([-0.16965583, -0.8774644 , -1.4901346 ], dtype=float32)"),
                    Value("grad(loss, 1)(W, b)", "Array(-0.29227245, dtype=float32)"),
                    Value(
                        "grad(loss, (0, 1))(W, b)[0]", "Array([-0.16965583, -0.8774644 , -1.4901346 ], dtype=float32)"
                    ),
                    Value("grad(loss, (0, 1))(W, b)[1]", "Array(-0.29227245, dtype=float32)"),
                ),
            ),
        ),
        Section(
            "Nested lists, tuples and dicts",
            "Arguments may be containers of arrays; the gradient has the same structure.",
            (
                Cell(
                    """
                    def loss2(params_dict):
                        preds = predict(params_dict['W'], params_dict['b'], inputs)
                        label_probs = preds * targets + (1 - preds) * (1 - targets)
                        return -jnp.sum(jnp.log(label_probs))

                    print(grad(loss2)({'W': W, 'b': b}))
                    """,
                    Value(
                        "grad(loss2)({'W': W, 'b': b})",
                        "{'W': Array([-0.16965583, -0.8774644 , -1.4901346 ], dtype=float32), "
                        "'b': Array(-0.29227245, dtype=float32)}",
                    ),
                ),
            ),
        ),
        Section(
            "A function and its gradient together",
            "value_and_grad gives both for one forward and one backward pass.",
            (
                Cell(
                    """
                    loss_value, Wb_grad = jax.value_and_grad(loss, (0, 1))(W, b)
                    print('loss value', loss_value)
                    print('loss value', loss(W, b))
                    """,
                    Value("jax.value_and_grad(loss, (0, 1))(W, b)[0]", "3.0519385"),
                    Value("loss(W, b)", "3.0519385"),
                ),
            ),
        ),
        Section(
            "Checking against numerical differences",
            "Derivatives agree with difference quotients, as far as those go; check_grads does this to any order.",
            (
                Cell(
                    """
                    # Set a step size for finite differences calculations
                    eps = 1e-4

                    # Check b_grad with scalar finite differences
                    b_grad_numerical = (loss(W, b + eps / 2.) - loss(W, b - eps / 2.)) / eps
                    print('b_grad_numerical', b_grad_numerical)
                    print('b_grad_autodiff', grad(loss, 1)(W, b))

                    # Check W_grad with finite differences in a random direction
                    key, subkey = jax.random.split(key)
                    vec = jax.random.normal(subkey, W.shape)
                    unitvec = vec / jnp.sqrt(jnp.vdot(vec, vec))
                    W_grad_numerical = (loss(W + eps / 2. * unitvec, b) - loss(W - eps / 2. * unitvec, b)) / eps
                    print('W_dirderiv_numerical', W_grad_numerical)
                    print('W_dirderiv_autodiff', jnp.vdot(grad(loss)(W, b), unitvec))
                    """,
                    Value(
                        "(loss(W, b + eps / 2.) - loss(W, b - eps / 2.)) / eps",
                        "-0.29325485",
                        tolerance=DIFFERENCE_QUOTIENT,
                        note=LAST_BITS,
                    ),
                    Value("grad(loss, 1)(W, b)", "-0.29227245"),
                    Value(
                        "(loss(W + eps / 2. * unitvec, b) - loss(W - eps / 2. * unitvec, b)) / eps",
                        "-0.2002716",
                        tolerance=DIFFERENCE_QUOTIENT,
                        note=LAST_BITS,
                    ),
                    Value("jnp.vdot(grad(loss)(W, b), unitvec)", "-0.19909117"),
                ),
                Cell(
                    """
                    from jax.test_util import check_grads

                    check_grads(loss, (W, b), order=2)  # check up to 2nd order derivatives
                    """,
                    Value("check_grads(loss, (W, b), order=2)", "None", ASSERTED),
                ),
            ),
        ),
    ),
)
