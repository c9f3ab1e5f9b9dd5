"""Programs taken apart, run by interpreters of other people's, and put together."""

from __future__ import annotations

from functools import wraps

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.core.jaxpr import describe_location
from pullback.extend import core, source_info_util
from pullback.extend import linear_util as lu
from pullback.extend.public_core import ShapedArray, Trace, Tracer, eval_jaxpr
from pullback.interpreters import ad
from pullback.interpreters import partial_eval as pe
from pullback.interpreters.pxla import thread_resources

# ---- an interpreter that inverts functions --------------------------------------------------------

INVERSES = {
    lax.exp_p: jnp.log,
    lax.tanh_p: jnp.arctanh,
    lax.neg_p: jnp.negative,
}


def inverse(fun):
    """The inverse of a chain of invertible functions, found by walking its program backwards."""

    @wraps(fun)
    def inverted(*args):
        closed = pb.make_jaxpr(fun)(*args)
        return backwards(closed.jaxpr, closed.consts, *args)[0]

    return inverted


def backwards(program, consts, *args):
    values = dict(zip(program.constvars, consts)) | dict(zip(program.outvars, args))
    for eqn in reversed(program.eqns):
        if eqn.primitive is core.primitives.jit_p:
            inner = eqn.params["jaxpr"]
            found = backwards(inner.jaxpr, inner.consts, *[values[v] for v in eqn.outvars])
        else:
            if eqn.primitive not in INVERSES:
                raise NotImplementedError(f"{eqn.primitive} does not have registered inverse.")
            found = [INVERSES[eqn.primitive](*[values[v] for v in eqn.outvars])]
        values |= dict(zip(eqn.invars, found))
    return [values[v] for v in program.invars]


def test_an_interpreter_that_inverts():
    def f(x):
        return jnp.exp(jnp.tanh(-pb.jit(jnp.exp)(x)))

    back = inverse(f)
    assert float(back(f(0.3))) == pytest.approx(0.3, rel=1e-5)
    assert float(pb.jit(pb.vmap(back))(f(jnp.linspace(-1.0, 0.5, 3)))[1]) == pytest.approx(-0.25, rel=1e-5)
    assert float(pb.grad(back)(f(0.3))) == pytest.approx(1 / float(pb.grad(f)(0.3)), rel=1e-4)
    with pytest.raises(NotImplementedError, match="sin does not have registered inverse"):
        inverse(jnp.sin)(0.5)


def forwards(program, consts, *args, change=lambda eqn: None):
    """A program run equation by equation, some of which are changed."""
    values = dict(zip(program.constvars, consts)) | dict(zip(program.invars, args))
    read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
    for eqn in program.eqns:
        instead = change(eqn)
        if instead is not None:
            outs = [instead(*map(read, eqn.invars))]
        else:
            outs = eqn.primitive.bind(*map(read, eqn.invars), **eqn.primitive.get_bind_params(eqn.params))
        values |= dict(
            zip(eqn.outvars, outs if eqn.primitive.multiple_results else [outs] if instead is None else outs)
        )
    return [read(v) for v in program.outvars]


@pb.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 20 * tangents[0]))


@pb.custom_vjp
def tripled(x):
    return 3 * x


tripled.defvjp(lambda x: (tripled(x), None), lambda _, ct: (30 * ct,))


def of_everything(x):
    y = lax.cond(x[0] > 0, jnp.sin, jnp.cos, x)
    y, ys = lax.scan(lambda c, a: (c * a, c.sum()), y, x)
    z = lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2), (0, y))[1]
    return pb.checkpoint(jnp.sin)(z) + doubled(x) + tripled(x) + pb.jit(jnp.cumsum)(ys) + jnp.sort(x)[::-1]


def test_an_interpreter_runs_every_program():
    """Rebinding every equation keeps values, and derivatives with the rules that functions have."""
    x = jnp.array([0.5, -0.2, 1.5])
    closed = pb.make_jaxpr(of_everything)(x)
    again = lambda x: forwards(closed.jaxpr, closed.consts, x)[0]
    np.testing.assert_allclose(again(x), of_everything(x), rtol=1e-6)
    pushed = lambda f: pb.jit(lambda x: pb.jvp(f, (x,), (jnp.ones(3),)))(x)
    np.testing.assert_allclose(pushed(again), pushed(of_everything), rtol=1e-5)
    halved = lambda x, y: 0.5 * (x + y)
    other = forwards(closed.jaxpr, closed.consts, x, change=lambda e: halved if e.primitive is lax.add_p else None)
    assert other[0].shape == x.shape and not np.allclose(other[0], of_everything(x))
    names = {e.primitive.name for e in closed.eqns}
    assert {"cond", "scan", "while", "checkpoint", "custom_jvp_call", "custom_vjp_call", "jit"} <= names
    assert len(list(core.subjaxprs(closed.jaxpr))) >= 8
    core.check_jaxpr(closed.jaxpr)
    call = next(e for e in closed.eqns if e.primitive.name == "custom_jvp_call")
    (fun, *_) = call.primitive.get_bind_params(call.params)["subfuns"]
    assert [y.tolist() for y in fun.call_wrapped(x)] == [(2 * x).tolist()]


# ---- programs put together -----------------------------------------------------------------------


def test_a_program_made_by_hand():
    new = core.gensym()
    t = ShapedArray((3,), np.float32)
    a, b, c = new(t), new(t), new(t)
    two = core.Literal(2.0, ShapedArray((), "float32"))
    eqns = [
        core.new_jaxpr_eqn([a, two], [b], lax.mul_p, {}, core.no_effects),
        core.new_jaxpr_eqn([b], [c], lax.sin_p, {}, core.no_effects, source_info_util.current()),
    ]
    program = core.Jaxpr([], [a], [c], eqns, core.no_effects, core.DebugInfo("me", "f at f.py:1", ("x",), None))
    core.check_jaxpr(program)
    assert str(program) == "{ lambda ; a:f32[3]. let b:f32[3] = mul a 2.0:f32[]; c:f32[3] = sin b in (c,) }"
    assert "test_programs.py" in eqns[1].source and program.debug_info.func_name == "f"
    closed = core.ClosedJaxpr(program, [])
    x = jnp.arange(3.0)
    np.testing.assert_allclose(core.jaxpr_as_fun(closed)(x)[0], np.sin(2 * np.arange(3.0)), rtol=1e-6)
    np.testing.assert_allclose(eval_jaxpr(program, [], x)[0], np.sin(2 * np.arange(3.0)), rtol=1e-6)
    np.testing.assert_allclose(pb.jit(core.jaxpr_as_fun(closed))(x)[0], np.sin(2 * np.arange(3.0)), rtol=1e-6)
    shorter = program.replace(eqns=program.eqns[:1], outvars=[b])
    assert str(closed.replace(jaxpr=shorter)) == "{ lambda ; a:f32[3]. let b:f32[3] = mul a 2.0:f32[] in (b,) }"
    assert shorter.debug_info is program.debug_info and closed.map_jaxpr(lambda j: shorter).eqns == shorter.eqns
    replaced = eqns[0].replace(primitive=lax.add_p)
    assert replaced.invars is eqns[0].invars and str(replaced) == "a:f32[3] = add b 2.0:f32[]"
    with pytest.raises(TypeError, match="neither a Var nor a Literal"):
        core.new_jaxpr_eqn([2.0], [b], lax.sin_p, {}, core.no_effects)
    with pytest.raises(TypeError, match="no primitive"):
        core.new_jaxpr_eqn([a], [b], "sin", {}, core.no_effects)
    with pytest.raises(TypeError, match="no known scalar"):
        core.Literal(jnp.ones(2), t)
    broken = core.Jaxpr([], [a], [c], eqns[1:])
    with pytest.raises(core.JaxprTypeError, match="before it is defined"):
        core.check_jaxpr(broken)


def test_types_and_what_can_be_an_argument():
    assert core.mapped_aval(3, -1, ShapedArray((2, 3), "int8")) == ShapedArray((2,), "int8")
    assert core.unmapped_aval(3, -1, ShapedArray((2,), "int8")) == ShapedArray((2, 3), "int8")
    assert core.mapped_aval(3, None, ShapedArray((2,), "int8")) == core.unmapped_aval(
        3, None, ShapedArray((2,), "int8")
    )
    with pytest.raises(ValueError, match="has 2 elements along axis 0, not 3"):
        core.mapped_aval(3, 0, ShapedArray((2,), "int8"))
    assert [core.valid_jaxtype(x) for x in (1, 1.0, True, np.ones(2), jnp.ones(2), "a", None, [1.0])] == [True] * 5 + [
        False
    ] * 3
    assert isinstance(jnp.ones(2), tuple(core.array_types)) and not isinstance("a", tuple(core.array_types))
    assert core.primal_dtype_to_tangent_dtype("int32") == pb.float0
    assert core.concrete_or_error(float, jnp.float32(2)) == 2.0
    with pytest.raises(pb.errors.ConcretizationTypeError, match="a size is needed"):
        pb.jit(lambda n: core.concrete_or_error(int, n, "a size is needed"))(3)
    assert pb.grad(lambda x: core.concrete_or_error(None, x) * x)(3.0) == 3.0


# ---- traces --------------------------------------------------------------------------------------


class Doubling(Trace):
    """Doubles the result of every sine, and lets everything else be."""

    def __init__(self, parent_trace, tag):
        super().__init__(parent_trace)
        self.main = tag
        self.seen = []

    def process_primitive(self, primitive, tracers, params):
        values = [t.value if isinstance(t, Doubled) and t._trace is self else t for t in tracers]
        self.seen.append(primitive.name)
        out = primitive.bind(*values, **params)
        if primitive.multiple_results:
            return [Doubled(self, x) for x in out]
        return Doubled(self, 2 * out if primitive is lax.sin_p else out)


class Doubled(Tracer):
    def __init__(self, trace, value):
        self._trace, self.value = trace, value

    @property
    def aval(self):
        return pb.typeof(self.value)


def with_double_sines(f):
    def transformed(x):
        with core.take_current_trace() as parent:
            trace = Doubling(parent, core.TraceTag())
            with core.set_current_trace(trace):
                out = f(Doubled(trace, x))
                assert core.find_top_trace([out]) is trace and isinstance(out, Tracer)
            assert "sin" in trace.seen
            return out.value

    return transformed


def test_a_transformation_of_somebody_elses():
    f = lambda x: jnp.sin(x) * doubled(x) + pb.jit(jnp.cos)(x)
    g = with_double_sines(f)
    wanted = lambda x: 2 * jnp.sin(x) * doubled(x) + jnp.cos(x)
    assert float(g(0.3)) == pytest.approx(float(wanted(0.3)), rel=1e-6)
    for mode in (pb.grad, pb.jit, lambda f: pb.jit(pb.grad(f)), lambda f: lambda x: pb.vmap(f)(jnp.stack([x, x]))[1]):
        assert float(mode(g)(jnp.float32(0.3))) == pytest.approx(float(mode(wanted)(jnp.float32(0.3))), rel=1e-5)
    inner = with_double_sines(lambda x: pb.grad(jnp.sin)(x) + jnp.sin(x))
    assert float(inner(0.3)) == pytest.approx(np.cos(0.3) + 2 * np.sin(0.3), rel=1e-6)
    with pytest.raises(NotImplementedError, match="must define process_primitive"), core.set_current_trace(Trace()):
        jnp.sin(1.0)
    assert float(jnp.sin(0.0)) == 0.0


def test_a_transformation_that_is_told_of_functions_with_rules():
    class Told(Doubling):
        def process_custom_jvp_call(self, primitive, fun, jvp, tracers, *, symbolic_zeros):
            self.seen.append((primitive.name, symbolic_zeros))
            values = [t.value if isinstance(t, Doubled) else t for t in tracers]
            types = [pb.typeof(x) for x in values]
            params = {"subfuns": (fun, jvp), "symbolic_zeros": symbolic_zeros}
            return [Doubled(self, x) for x in primitive.bind_with_trace(self.parent, values, types, params)]

    def transformed(x):
        with core.take_current_trace() as parent:
            trace = Told(parent, core.TraceTag())
            with core.set_current_trace(trace):
                out = doubled(Doubled(trace, x)) + 1.0
        assert ("custom_jvp_call", False) in trace.seen
        return out.value

    assert float(transformed(3.0)) == 7.0 and float(pb.grad(transformed)(3.0)) == 20.0
    assert pb.jvp(transformed, (3.0,), (2.0,))[1] == 40.0 and pb.jit(pb.vmap(pb.grad(transformed)))(
        jnp.ones(2)
    ).tolist() == [20.0, 20.0]


def test_states_of_tracing():
    outside = core.get_opaque_trace_state(convention="flax")
    seen = {}

    def f(x):
        seen["state"] = core.get_opaque_trace_state()
        seen["jit"] = core.unsafe_am_i_under_a_jit_DO_NOT_USE()
        seen["vmap"] = core.unsafe_am_i_under_a_vmap_DO_NOT_USE()
        seen["axes"] = core.unsafe_get_axis_names_DO_NOT_USE()
        assert core.get_opaque_trace_state() == seen["state"] != outside
        return x * 2

    pb.vmap(f, axis_name="i")(jnp.ones(2))
    assert (seen["jit"], seen["vmap"], seen["axes"]) == (False, True, ["i"])
    first = seen["state"]
    pb.jit(f)(1.0)
    assert (seen["jit"], seen["vmap"], seen["axes"]) == (True, False, [])
    assert first != seen["state"] and outside == core.get_opaque_trace_state()
    assert not core.nonempty_axis_env_DO_NOT_USE() and thread_resources.env.physical_mesh.empty


def test_what_is_traced_is_traced_where_evaluation_is_asked_for():
    def f(x):
        with pb.ensure_compile_time_eval():
            table = jnp.arange(3) + 1
            assert not isinstance(table, Tracer)
            y = jnp.sin(x) + pb.jit(jnp.cos)(x) + pb.grad(lambda u: u * u * x)(3.0)
        return y * table.sum()

    wanted = lambda x: 6 * (jnp.sin(x) + jnp.cos(x) + 6 * x)
    np.testing.assert_allclose(pb.jit(pb.grad(f))(0.3), pb.grad(wanted)(0.3), rtol=1e-6)
    np.testing.assert_allclose(pb.vmap(f)(jnp.arange(2.0)), wanted(jnp.arange(2.0)), rtol=1e-6)

    def closes_over_what_is_traced(x):
        with pb.ensure_compile_time_eval():
            types = pb.eval_shape(lambda: (x, jnp.ones(2) * x))
            return jnp.ones(types[1].shape) * x

    assert pb.jit(closes_over_what_is_traced)(2.0).tolist() == [2.0, 2.0]
    leaked = []
    pb.jit(lambda x: leaked.append(x) or x)(1.0)
    with pytest.raises(pb.errors.UnexpectedTracerError), pb.ensure_compile_time_eval():
        jnp.sin(leaked[0])


# ---- where operations come from ------------------------------------------------------------------


def test_sources_are_handed_on():
    program = pb.make_jaxpr(lambda x: jnp.sin(x) * 2)(1.0)
    sine, times = program.eqns
    assert source_info_util.summarize(sine.source_info).startswith(__file__)

    def rewritten(x):
        with source_info_util.user_context(sine.source_info.traceback):
            y = jnp.cos(x)
        with source_info_util.user_context(None, name_stack=source_info_util.new_name_stack("there")):
            z = -y
        with pb.named_scope("a"), source_info_util.extend_name_stack("b"), source_info_util.transform_name_stack("jvp"):
            assert str(source_info_util.current_name_stack()) == "a/b/jvp()"
            with source_info_util.reset_name_stack():
                assert str(source_info_util.current_name_stack()) == ""
            return z * 3

    text = pb.jit(rewritten).lower(1.0).as_text(debug_info=True)
    lines = {
        op: next(x for x in text.splitlines() if f"stablehlo.{op}" in x) for op in ("cosine", "negate", "multiply")
    }
    place = describe_location(sine.source_info.traceback).split(" ")[0]
    file, line = place.rsplit(":", 1)
    assert (
        f'"{file}":{line}:0' in lines["cosine"]
        and "there/neg" in lines["negate"]
        and "a/b/jvp()/mul" in lines["multiply"]
    )
    assert str(source_info_util.current_name_stack()) == "" and times.source_info.name_stack.stack == ()


def test_libraries_can_leave_their_files_out(tmp_path):
    library = tmp_path / "somebodys.py"
    library.write_text("import pullback.numpy as jnp\ndef f(x):\n    return jnp.sin(x)\n")
    names: dict = {}
    exec(compile(library.read_text(), str(library), "exec"), names)
    where = lambda: pb.make_jaxpr(lambda x: names["f"](x))(1.0).eqns[0].source
    assert "somebodys.py" in where()
    from pullback.core import errors

    before = errors._excluded
    try:
        source_info_util.register_exclusion(str(tmp_path))
        assert "test_programs.py" in where()
    finally:
        errors._excluded = before
        errors._is_internal.clear()


# ---- from functions to programs ------------------------------------------------------------------


def test_functions_of_which_some_arguments_are_known():
    ran = []

    def f(x, y):
        known = pb.jit(jnp.sin)(y) * 2
        ran.append(isinstance(known, Tracer))
        return [x + known, known, pb.jit(jnp.exp)(x)]

    t = pb.typeof(jnp.float32(1))
    program, outs, consts = pe.trace_to_jaxpr_nounits(
        lu.wrap_init(f), [pe.PartialVal.unknown(t), pe.PartialVal.known(2.0)]
    )
    assert ran == [False] and [o.is_known() for o in outs] == [False, True, False]
    assert float(outs[1].get_known()) == pytest.approx(2 * np.sin(2.0)) and outs[0].get_aval().shape == ()
    found = eval_jaxpr(program, consts, jnp.float32(1))
    np.testing.assert_allclose(found, [1 + 2 * np.sin(2.0), np.e], rtol=1e-6)
    program, outs, consts = pe.trace_to_jaxpr_nounits(
        lu.wrap_init(f), [pe.PartialVal.unknown(t), pe.PartialVal.known(2.0)], True
    )
    assert len(program.outvars) == 3 and not any(o.is_known() for o in outs)
    leaked = []
    pe.trace_to_jaxpr_nounits(lu.wrap_init(lambda x: [leaked.append(x) or x]), [pe.PartialVal.unknown(t)])
    with pytest.raises(pb.errors.UnexpectedTracerError):
        jnp.sin(leaked[0])
    info = core.DebugInfo("test", "f at f.py:1", ("x",), None)
    program, types, consts = pe.trace_to_jaxpr_dynamic(lu.wrap_init(lambda x: [x * jnp.ones(3)], debug_info=info), [t])
    assert types[0].shape == (3,) and program.debug_info is info and len(program.constvars) == len(consts)
    with pytest.raises(TypeError, match="either the type or the value"):
        pe.PartialVal((t, 1.0))


def test_programs_without_what_is_not_needed():
    program = pb.make_jaxpr(lambda x, y: (jnp.sin(x), y * 2, x))(1.0, 2.0).jaxpr
    found, used = pe.dce_jaxpr(program, [True, False, False])
    assert str(found) == "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }" and used == [True, False]
    assert pe.dce_jaxpr(program, [False, True, False], instantiate=[True, False])[1] == [True, True]
    assert len(pe.dce_jaxpr(program, False)[0].eqns) == 0 and len(program.eqns) == 2
    with pytest.raises(TypeError, match="1 entries for 3 results"):
        pe.dce_jaxpr(program, [True])
    closed = pb.make_jaxpr(lambda x: (x + jnp.arange(3), x * 2))(1.0)
    _, consts, used = pe.dce_jaxpr_consts(closed.jaxpr, [False, True])
    assert not any(consts) and used == [True]


def test_forward_mode_of_wrapped_functions():
    fun = lu.wrap_init(lambda x, y: [x * y, y])
    outs, ts = ad.jvp(fun).call_wrapped((2.0, 3.0), (1.0, ad.Zero(pb.typeof(3.0))))
    assert [float(x) for x in (*outs, *ts)] == [6.0, 3.0, 3.0, 0.0]
    _, ts = ad.jvp(fun, instantiate=False).call_wrapped((2.0, 3.0), (1.0, ad.Zero(pb.typeof(3.0))))
    assert isinstance(ts[1], ad.Zero)
