"""The Autodiff Cookbook of JAX's documentation, by Alex Wiltschko and Matthew Johnson: its code,
verbatim, and the values it prints.

The copy of the document lost some characters: `jnp.dot(inputs` in `predict`, `print(...)` and other
last lines of cells, and the `try:` and `else:` of one function. They are restored by sense.
"""

from __future__ import annotations

from pullback.tour.documents import ASSERTED, EXACT, STATED, Cell, Document, Section, Value
from pullback.tour.tutorial import DIFFERENCE_QUOTIENT, LAST_BITS

#: σ(z) = (1 + t)/2 with t = tanh(z/2), so σ' = (1 − t²)/4: near t = 1 a last bit of t, 2⁻²⁴, moves
#: σ' by 2⁻²⁵. The Jacobian is that times the inputs, which are below 2.5; the Hessian σ'' = −tσ'
#: times products of two.
LAST_BIT_OF_TANH = 2.0**-25 * 2.5
LAST_BIT_OF_TANH_SQUARED = 2.0**-25 * 2.5**2
CANCELLATION = "near t = 1 a last bit of t = tanh(z/2) is more than 5e-6 of σ' = (1 − t²)/4"

JACOBIAN_FORWARD = """[[ 0.05981753  0.12883773  0.08857594]
 [ 0.04015911 -0.04928619  0.0068453 ]
 [ 0.12188288  0.01406341 -0.3047072 ]
 [ 0.00140426 -0.00472516  0.00263774]]"""

JACOBIAN_REVERSE = """[[ 0.05981752  0.12883773  0.08857594]
 [ 0.04015911 -0.04928619  0.0068453 ]
 [ 0.12188289  0.01406341 -0.3047072 ]
 [ 0.00140426 -0.00472516  0.00263774]]"""

HESSIAN = """[[[ 0.02285464  0.04922538  0.03384245]
  [ 0.04922539  0.10602391  0.07289143]
  [ 0.03384246  0.07289144  0.05011286]]

 [[-0.03195212  0.03921397 -0.00544638]
  [ 0.03921397 -0.04812624  0.0066842 ]
  [-0.00544638  0.0066842  -0.00092836]]

 [[-0.01583708 -0.00182736  0.03959271]
  [-0.00182736 -0.00021085  0.00456839]
  [ 0.03959271  0.00456839 -0.09898177]]

 [[-0.0010352   0.00348332 -0.0019445 ]
  [ 0.00348332 -0.01172091  0.006543  ]
  [-0.0019445   0.006543   -0.00365252]]]"""

CHOLESKY_GRADIENT = """DeviceArray([[-0.7534186  +0.j      , -3.0509028 -10.940545j,
               5.9896846  +3.542303j],
             [-3.0509028 +10.940545j, -8.904491   +0.j      ,
              -5.1351523  -6.559373j],
             [ 5.9896846  -3.542303j, -5.1351523  +6.559373j,
               0.01320427 +0.j      ]], dtype=complex64)"""

STARTING_WITH_GRAD = Section(
    "Starting with grad",
    "The first steps again, with the values that an earlier release printed.",
    (
        Cell(
            """
            import jax.numpy as jnp
            from jax import grad, jit, vmap
            from jax import random

            key = random.PRNGKey(0)
            """
        ),
        Cell(
            """
            grad_tanh = grad(jnp.tanh)
            print(grad_tanh(2.0))
            """,
            Value("grad_tanh(2.0)", "0.0706508249", EXACT),
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
            key, W_key, b_key = random.split(key, 3)
            W = random.normal(W_key, (3,))
            b = random.normal(b_key, ())
            """
        ),
        Cell(
            """
            # Differentiate `loss` with respect to the first positional argument:
            W_grad = grad(loss, argnums=0)(W, b)
            print('W_grad', W_grad)

            # Since argnums=0 is the default, this does the same thing:
            W_grad = grad(loss)(W, b)
            print('W_grad', W_grad)

            # But we can choose different values too, and drop the keyword:
            b_grad = grad(loss, 1)(W, b)
            print('b_grad', b_grad)

            # Including tuple values
            W_grad, b_grad = grad(loss, (0, 1))(W, b)
            print('W_grad', W_grad)
            print('b_grad', b_grad)
            """,
            Value("grad(loss, argnums=0)(W, b)", "[-0.16965576 -0.8774648  -1.4901345 ]"),
            Value("grad(loss)(W, b)", "[-0.16965576 -0.8774648  -1.4901345 ]"),
            Value("grad(loss, 1)(W, b)", "-0.2922724"),
            Value("grad(loss, (0, 1))(W, b)[0]", "[-0.16965576 -0.8774648  -1.4901345 ]"),
            Value("grad(loss, (0, 1))(W, b)[1]", "-0.2922724"),
        ),
    ),
)

CONTAINERS = Section(
    "Nested lists, tuples and dicts",
    "The gradient of a function of a dict is a dict.",
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
                "{'W': DeviceArray([-0.16965576, -0.8774648 , -1.4901345 ], dtype=float32), "
                "'b': DeviceArray(-0.2922724, dtype=float32)}",
            ),
        ),
    ),
)

VALUE_AND_GRAD = Section(
    "A function and its gradient together",
    "value_and_grad again.",
    (
        Cell(
            """
            from jax import value_and_grad
            loss_value, Wb_grad = value_and_grad(loss, (0, 1))(W, b)
            print('loss value', loss_value)
            print('loss value', loss(W, b))
            """,
            Value("value_and_grad(loss, (0, 1))(W, b)[0]", "3.0519395"),
            Value("loss(W, b)", "3.0519395"),
        ),
    ),
)

NUMERICAL_DIFFERENCES = Section(
    "Checking against numerical differences",
    "Difference quotients of step 1e-4 in float32 have two or three digits; derivatives have seven.",
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
            key, subkey = random.split(key)
            vec = random.normal(subkey, W.shape)
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
            Value("grad(loss, 1)(W, b)", "-0.2922724"),
            Value(
                "(loss(W + eps / 2. * unitvec, b) - loss(W - eps / 2. * unitvec, b)) / eps",
                "-0.19788742",
                tolerance=DIFFERENCE_QUOTIENT,
                note=LAST_BITS,
            ),
            Value("jnp.vdot(grad(loss)(W, b), unitvec)", "-0.19909069"),
        ),
        Cell(
            """
            from jax.test_util import check_grads
            check_grads(loss, (W, b), order=2)  # check up to 2nd order derivatives
            """,
            Value("check_grads(loss, (W, b), order=2)", "None", ASSERTED),
        ),
    ),
)

GRAD_OF_GRAD = Section(
    "Hessian-vector products with grad of grad",
    "∂²f(x)·v is the gradient of x ↦ ∂f(x)·v: no Hessian is ever built. (Checked below, once there are Hessians.)",
    (
        Cell(
            """
            def hvp(f, x, v):
                return grad(lambda x: jnp.vdot(grad(f)(x), v))(x)
            """
        ),
    ),
)

JACOBIANS = Section(
    "Jacobians and Hessians with jacfwd and jacrev",
    "Forward mode builds a Jacobian by columns, reverse mode by rows; one of each gives a Hessian.",
    (
        Cell(
            """
            from jax import jacfwd, jacrev

            # Isolate the function from the weight matrix to the predictions
            f = lambda W: predict(W, b, inputs)

            J = jacfwd(f)(W)
            print("jacfwd result, with shape", J.shape)
            print(J)

            J = jacrev(f)(W)
            print("jacrev result, with shape", J.shape)
            print(J)
            """,
            Value("jacfwd(f)(W).shape", "(4, 3)"),
            Value("jacfwd(f)(W)", JACOBIAN_FORWARD, tolerance=LAST_BIT_OF_TANH, note=CANCELLATION),
            Value("jacrev(f)(W).shape", "(4, 3)"),
            Value("jacrev(f)(W)", JACOBIAN_REVERSE, tolerance=LAST_BIT_OF_TANH, note=CANCELLATION),
        ),
        Cell(
            """
            def predict_dict(params, inputs):
                return predict(params['W'], params['b'], inputs)

            J_dict = jacrev(predict_dict)({'W': W, 'b': b}, inputs)
            for k, v in J_dict.items():
                print("Jacobian from {} to logits is".format(k))
                print(v)
            """,
            Value(
                "jacrev(predict_dict)({'W': W, 'b': b}, inputs)['W']",
                JACOBIAN_REVERSE,
                tolerance=LAST_BIT_OF_TANH,
                note=CANCELLATION,
            ),
            Value(
                "jacrev(predict_dict)({'W': W, 'b': b}, inputs)['b']",
                "[0.11503369 0.04563536 0.23439017 0.00189765]",
                tolerance=LAST_BIT_OF_TANH,
                note=CANCELLATION,
            ),
        ),
        Cell(
            """
            def hessian(f):
                return jacfwd(jacrev(f))

            H = hessian(f)(W)
            print("hessian, with shape", H.shape)
            print(H)
            """,
            Value("hessian(f)(W).shape", "(4, 3, 3)"),
            Value("hessian(f)(W)", HESSIAN, tolerance=LAST_BIT_OF_TANH_SQUARED, note=CANCELLATION),
        ),
    ),
)

FOUNDATIONS = Section(
    "Two foundations: jvp and vjp",
    "The pushforward (x, v) ↦ ∂f(x)·v and the pullback (x, u) ↦ u·∂f(x), from which everything else is made.",
    (
        Cell(
            """
            from jax import jvp

            # Isolate the function from the weight matrix to the predictions
            f = lambda W: predict(W, b, inputs)

            key, subkey = random.split(key)
            v = random.normal(subkey, W.shape)

            # Push forward the vector `v` along `f` evaluated at `W`
            y, u = jvp(f, (W,), (v,))
            """
        ),
        Cell(
            """
            from jax import vjp

            # Isolate the function from the weight matrix to the predictions
            f = lambda W: predict(W, b, inputs)

            y, vjp_fun = vjp(f, W)

            key, subkey = random.split(key)
            u = random.normal(subkey, y.shape)

            # Pull back the covector `u` along `f` evaluated at `W`
            v = vjp_fun(u)
            """
        ),
        Cell(
            """
            from jax import vjp

            def vgrad(f, x):
              y, vjp_fn = vjp(f, x)
              return vjp_fn(jnp.ones(y.shape))[0]

            print(vgrad(lambda x: 3*x**2, jnp.ones((2, 2))))
            """,
            Value("vgrad(lambda x: 3*x**2, jnp.ones((2, 2)))", "[[6. 6.]\n [6. 6.]]"),
        ),
    ),
)

FORWARD_OVER_REVERSE = Section(
    "Hessian-vector products with both modes",
    "Three ways to ∂²f(X)·V for a 30×40 matrix, and the naive one through the full Hessian.",
    (
        Cell(
            """
            from jax import jvp, grad

            # forward-over-reverse
            def hvp(f, primals, tangents):
              return jvp(grad(f), primals, tangents)[1]
            """
        ),
        Cell(
            """
            def f(X):
              return jnp.sum(jnp.tanh(X)**2)

            key, subkey1, subkey2 = random.split(key, 3)
            X = random.normal(subkey1, (30, 40))
            V = random.normal(subkey2, (30, 40))

            ans1 = hvp(f, (X,), (V,))
            ans2 = jnp.tensordot(hessian(f)(X), V, 2)

            print(jnp.allclose(ans1, ans2, 1e-4, 1e-4))
            """,
            Value("jnp.allclose(ans1, ans2, 1e-4, 1e-4)", "True", STATED),
        ),
        Cell(
            """
            # reverse-over-forward
            def hvp_revfwd(f, primals, tangents):
              g = lambda primals: jvp(f, primals, tangents)[1]
              return grad(g)(primals)
            """
        ),
        Cell(
            """
            # reverse-over-reverse, only works for single arguments
            def hvp_revrev(f, primals, tangents):
              x, = primals
              v, = tangents
              return grad(lambda x: jnp.vdot(grad(f)(x), v))(x)

            print("Forward over reverse")
            %timeit -n10 -r3 hvp(f, (X,), (V,))
            print("Reverse over forward")
            %timeit -n10 -r3 hvp_revfwd(f, (X,), (V,))
            print("Reverse over reverse")
            %timeit -n10 -r3 hvp_revrev(f, (X,), (V,))

            print("Naive full Hessian materialization")
            %timeit -n10 -r3 jnp.tensordot(hessian(f)(X), V, 2)
            """,
            timings=("7.73 ms ± 28 µs", "10.7 ms ± 2.35 ms", "13.5 ms ± 2.24 ms", "60.4 ms ± 1.82 ms"),
        ),
    ),
)

MATRIX_PRODUCTS = Section(
    "Jacobian-matrix and matrix-Jacobian products",
    "vmap pushes or pulls 128 vectors at once, instead of one by one in a Python loop.",
    (
        Cell(
            """
            # Isolate the function from the weight matrix to the predictions
            f = lambda W: predict(W, b, inputs)

            # Pull back the covectors `m_i` along `f`, evaluated at `W`, for all `i`.
            # First, use a list comprehension to loop over rows in the matrix M.
            def loop_mjp(f, x, M):
                y, vjp_fun = vjp(f, x)
                return jnp.vstack([vjp_fun(mi) for mi in M])

            # Now, use vmap to build a computation that does a single fast matrix-matrix
            # multiply, rather than an outer loop over vector-matrix multiplies.
            def vmap_mjp(f, x, M):
                y, vjp_fun = vjp(f, x)
                outs, = vmap(vjp_fun)(M)
                return outs

            key = random.PRNGKey(0)
            num_covecs = 128
            U = random.normal(key, (num_covecs,) + y.shape)

            loop_vs = loop_mjp(f, W, M=U)
            print('Non-vmapped Matrix-Jacobian product')
            %timeit -n10 -r3 loop_mjp(f, W, M=U)

            print('\\nVmapped Matrix-Jacobian product')
            vmap_vs = vmap_mjp(f, W, M=U)
            %timeit -n10 -r3 vmap_mjp(f, W, M=U)

            assert jnp.allclose(loop_vs, vmap_vs), 'Vmap and non-vmapped Matrix-Jacobian Products should be identical'
            """,
            Value("jnp.allclose(loop_mjp(f, W, M=U), vmap_mjp(f, W, M=U))", "True", ASSERTED),
            timings=("212 ms ± 1.23 ms", "7.21 ms ± 100 µs"),
        ),
        Cell(
            """
            def loop_jmp(f, W, M):
                # jvp immediately returns the primal and tangent values as a tuple,
                # so we'll compute and select the tangents in a list comprehension
                return jnp.vstack([jvp(f, (W,), (mi,))[1] for mi in M])

            def vmap_jmp(f, W, M):
                _jvp = lambda s: jvp(f, (W,), (s,))[1]
                return vmap(_jvp)(M)

            num_vecs = 128
            S = random.normal(key, (num_vecs,) + W.shape)

            loop_vs = loop_jmp(f, W, M=S)
            print('Non-vmapped Jacobian-Matrix product')
            %timeit -n10 -r3 loop_jmp(f, W, M=S)
            vmap_vs = vmap_jmp(f, W, M=S)
            print('\\nVmapped Jacobian-Matrix product')
            %timeit -n10 -r3 vmap_jmp(f, W, M=S)

            assert jnp.allclose(loop_vs, vmap_vs), 'Vmap and non-vmapped Jacobian-Matrix products should be identical'
            """,
            Value("jnp.allclose(loop_jmp(f, W, M=S), vmap_jmp(f, W, M=S))", "True", ASSERTED),
            timings=("533 ms ± 3.74 ms", "6.23 ms ± 43.1 µs"),
        ),
    ),
)

OUR_JACOBIANS = Section(
    "How jacfwd and jacrev are made",
    "vmap of a pushforward or a pullback over the standard basis. And Python control flow does not stand in the way of jit of a pullback.",
    (
        Cell(
            """
            from jax import jacrev as builtin_jacrev

            def our_jacrev(f):
                def jacfun(x):
                    y, vjp_fun = vjp(f, x)
                    # Use vmap to do a matrix-Jacobian product.
                    # Here, the matrix is the Euclidean basis, so we get all
                    # entries in the Jacobian at once.
                    J, = vmap(vjp_fun, in_axes=0)(jnp.eye(len(y)))
                    return J
                return jacfun

            assert jnp.allclose(builtin_jacrev(f)(W), our_jacrev(f)(W)), 'Incorrect reverse-mode Jacobian results!'
            """,
            Value("jnp.allclose(builtin_jacrev(f)(W), our_jacrev(f)(W))", "True", ASSERTED),
        ),
        Cell(
            """
            from jax import jacfwd as builtin_jacfwd

            def our_jacfwd(f):
                def jacfun(x):
                    _jvp = lambda s: jvp(f, (x,), (s,))[1]
                    Jt =vmap(_jvp, in_axes=1)(jnp.eye(len(x)))
                    return jnp.transpose(Jt)
                return jacfun

            assert jnp.allclose(builtin_jacfwd(f)(W), our_jacfwd(f)(W)), 'Incorrect forward-mode Jacobian results!'
            """,
            Value("jnp.allclose(builtin_jacfwd(f)(W), our_jacfwd(f)(W))", "True", ASSERTED),
        ),
        Cell(
            """
            def f(x):
                try:
                    if x < 3:
                        return 2 * x ** 3
                    else:
                        raise ValueError
                except ValueError:
                    return jnp.pi * x

            y, f_vjp = vjp(f, 4.)
            print(jit(f_vjp)(1.))
            """,
            Value("jit(f_vjp)(1.)", "(DeviceArray(3.1415927, dtype=float32),)"),
        ),
    ),
)

_CHECK_SET_UP = """
            def check(seed):
              key = random.PRNGKey(seed)

              # random coeffs for u and v
              key, subkey = random.split(key)
              a, b, c, d = random.uniform(subkey, (4,))

              def fun(z):
                x, y = jnp.real(z), jnp.imag(z)
                return u(x, y) + v(x, y) * 1j

              def u(x, y):
                return a * x + b * y

              def v(x, y):
                return c * x + d * y

              # primal point
              key, subkey = random.split(key)
              x, y = random.uniform(subkey, (2,))
              z = x + y * 1j
"""

COMPLEX = Section(
    "Complex numbers",
    "JVPs and VJPs of any function ℂ → ℂ; grad of real functions of complex numbers, and of holomorphic ones.",
    (
        Cell(
            """
            def f(z):
              x, y = jnp.real(z), jnp.imag(z)
              return u(x, y) + v(x, y) * 1j

            def g(x, y):
              return (u(x, y), v(x, y))
            """
        ),
        Cell(
            _CHECK_SET_UP
            + """
              # tangent vector
              key, subkey = random.split(key)
              c, d = random.uniform(subkey, (2,))
              z_dot = c + d * 1j

              # check jvp
              _, ans = jvp(fun, (z,), (z_dot,))
              expected = (grad(u, 0)(x, y) * c +
                          grad(u, 1)(x, y) * d +
                          grad(v, 0)(x, y) * c * 1j+
                          grad(v, 1)(x, y) * d * 1j)
              print(jnp.allclose(ans, expected))

            check(0)
            check(1)
            check(2)
            """,
            Value("check(0)  # jvp", "True", STATED),
            Value("check(1)  # jvp", "True", STATED),
            Value("check(2)  # jvp", "True", STATED),
        ),
        Cell(
            _CHECK_SET_UP
            + """
              # cotangent vector
              key, subkey = random.split(key)
              c, d = random.uniform(subkey, (2,))
              z_bar = jnp.array(c + d * 1j)  # for dtype control

              # check vjp
              _, fun_vjp = vjp(fun, z)
              ans, = fun_vjp(z_bar)
              expected = (grad(u, 0)(x, y) * c +
                          grad(v, 0)(x, y) * (-d) +
                          grad(u, 1)(x, y) * c * (-1j) +
                          grad(v, 1)(x, y) * (-d) * (-1j))
              assert jnp.allclose(ans, expected, atol=1e-5, rtol=1e-5)

            check(0)
            check(1)
            check(2)
            """,
            Value("check(0)  # vjp", "None", ASSERTED),
            Value("check(1)  # vjp", "None", ASSERTED),
            Value("check(2)  # vjp", "None", ASSERTED),
        ),
        Cell(
            """
            def f(z):
              x, y = jnp.real(z), jnp.imag(z)
              return x**2 + y**2

            z = 3. + 4j
            grad(f)(z)
            """,
            Value("grad(f)(z)  # f(x + iy) = x² + y²", "DeviceArray(6.-8.j, dtype=complex64)"),
        ),
        Cell(
            """
            def f(z):
              return jnp.sin(z)

            z = 3. + 4j
            grad(f, holomorphic=True)(z)
            """,
            Value("grad(f, holomorphic=True)(z)  # f = sin", "DeviceArray(-27.034946-3.8511534j, dtype=complex64)"),
        ),
        Cell(
            """
            def f(z):
              return jnp.conjugate(z)

            z = 3. + 4j
            grad(f, holomorphic=True)(z)  # f is not actually holomorphic!
            """,
            Value("grad(f, holomorphic=True)(z)  # f = conjugate", "DeviceArray(1.-0.j, dtype=complex64)"),
        ),
        Cell(
            """
            A = jnp.array([[5.,    2.+3j,    5j],
                          [2.-3j,   7.,  1.+7j],
                          [-5j,  1.-7j,    12.]])

            def f(X):
                L = jnp.linalg.cholesky(X)
                return jnp.sum((L - jnp.sin(L))**2)

            grad(f, holomorphic=True)(A)
            """,
            Value("grad(f, holomorphic=True)(A)  # f through a Cholesky decomposition", CHOLESKY_GRADIENT),
        ),
    ),
)

DOCUMENT = Document(
    "The Autodiff Cookbook",
    "https://docs.jax.dev/en/latest/notebooks/autodiff_cookbook.html",
    (
        STARTING_WITH_GRAD,
        CONTAINERS,
        VALUE_AND_GRAD,
        NUMERICAL_DIFFERENCES,
        GRAD_OF_GRAD,
        JACOBIANS,
        FOUNDATIONS,
        FORWARD_OVER_REVERSE,
        MATRIX_PRODUCTS,
        OUR_JACOBIANS,
        COMPLEX,
    ),
)
