"""The ground state of a magnet, prepared by a quantum circuit.

A ring of n spins in a transverse field g (the Ising model) has the energy

    H = −Σ ZᵢZᵢ₊₁ − g Σ Xᵢ

A variational quantum eigensolver prepares a state by a circuit with a few angles, measures its energy, and
moves the angles downhill. Here the circuit is simulated: 2ⁿ complex amplitudes, p layers of rotations
exp(iβ ΣZᵢZᵢ₊₁) and exp(iγ ΣXᵢ) in a `lax.scan`. One backward pass gives all derivatives; on a quantum
computer each takes two measurements a gate, by the shift rule.

At g = 1, circuits of p = n/2 layers reach the ground state exactly, shorter ones do not. The optimum is a
function of the field (`pb.argmin`), which has derivatives: the magnetization −dE/dg, and the
susceptibility −d²E/dg², which peaks where the magnet changes its phase.
What is expected follows from free fermions: E = −Σₖ √(1 + g² − 2g cos k), k = ±π/n, ±3π/n, ….

P. Pfeuty, "The one-dimensional Ising model with a transverse field", Ann. Phys. 57 (1970); W. W. Ho,
T. H. Hsieh, "Efficient variational simulation of non-trivial quantum states", SciPost Phys. 6 (2019);
K. Mitarai et al., "Quantum circuit learning", Phys. Rev. A 98 (2018): the shift rule.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import hadamard

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, VERMILION, Check, Outcome, progress
from pullback import lax


def signs(spins):
    """The eigenvalues of Zᵢ in the basis of spins up and down. What belongs to 2ⁿ states is a square: one
    half of the spins counts the rows, the other the columns; shape (n, 2^(n/2), 2^(n/2))."""
    z = 1.0 - 2 * (np.arange(2**spins) >> np.arange(spins)[:, None] & 1)
    return z.reshape(spins, 2 ** (spins // 2), -1)


def bonds(z):  # the eigenvalues of −ZᵢZᵢ₊₁
    return -z * np.roll(z, -1, axis=0)


def turned(state):
    """The state in the basis in which X is what Z was: a Hadamard gate on every spin."""
    gates = hadamard(len(state)) / np.sqrt(len(state))
    return gates @ state @ gates


def prepare(betas, gammas, z):
    """The state after layers of rotations by betas and gammas, each of shape (layers, spins)."""

    def layer(state, angles):
        beta, gamma = angles
        state = state * jnp.exp(-1j * jnp.tensordot(beta, bonds(z), 1))
        return turned(turned(state) * jnp.exp(1j * jnp.tensordot(gamma, z, 1))), None

    size = z.shape[1:]
    return lax.scan(layer, jnp.full(size, (1 + 0j) / size[0]), (betas, gammas))[0]


def energy_of_gates(betas, gammas, field, z):
    state = prepare(betas, gammas, z)
    return jnp.vdot(bonds(z).sum(0), abs(state) ** 2) - field * jnp.vdot(z.sum(0), abs(turned(state)) ** 2)


def energy(angles, field, z):
    """Of a circuit in which all gates of a layer turn alike: angles of shape (2, layers)."""
    return energy_of_gates(*jnp.repeat(angles[..., None], len(z), -1), field, z)


def fermions(field, spins):
    k = np.pi * np.arange(1 - spins, spins, 2) / spins
    return -jnp.sum(jnp.sqrt(1 + field**2 - 2 * field * jnp.cos(k)))


def ground_state(spins):
    """The smallest eigenvalue of H at g = 1, as a sparse matrix."""
    from scipy.sparse import diags_array, eye_array, kron
    from scipy.sparse.linalg import eigsh

    x = np.array([[0.0, 1.0], [1.0, 0.0]])
    flips = sum(kron(kron(eye_array(2 ** (spins - 1 - i)), x), eye_array(2**i)) for i in range(spins))
    return eigsh(diags_array(bonds(signs(spins)).sum(0).ravel()) - flips, 1, which="SA")[0][0]


def optimum(field, start, z, solver="bfgs", tol=1e-9):
    """The best angles of a circuit, from `start`; layers that start at 0 stay there, and do nothing."""
    used = start != 0
    return pb.argmin(lambda angles, field: energy(angles * used, field, z), start, field, solver=solver, tol=tol)


def shifted(angles, field, z, layer):
    """∂E/∂β of a layer as quantum computers measure it: the gate of each bond turned on by ±π/4."""
    betas, gammas = jnp.repeat(angles[..., None], len(z), -1)

    measured = lambda spin, turn: energy_of_gates(betas.at[layer, spin].add(turn), gammas, field, z)
    return sum(measured(spin, np.pi / 4) - measured(spin, -np.pi / 4) for spin in range(len(z)))


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    spins = 6 if small else 10
    z, depths = signs(spins), np.arange(1, spins // 2 + 1)
    starts = np.array([np.pad(np.linspace((0.2, 0.6), (0.6, 0.2), n).T, ((0, 0), (0, depths[-1] - n))) for n in depths])
    fields = np.linspace(0.4, 1.8, 5 if small else 15)
    solve = pb.jit(lambda field, start: optimum(field, start, z))
    problems = [(1.0, start) for start in starts] + [(field, starts[-1]) for field in fields]
    best = jnp.stack([solve(field, start) for field, start in progress(problems, "preparing ground states")])
    errors = pb.vmap(lambda angles: energy(angles, 1.0, z))(best[: len(depths)]) - fermions(1.0, spins)

    def derivatives(field, angles):
        """(E, dE/dg), and the derivatives of both, where the best angles are known."""
        known = lambda f, angles: angles
        # At an optimum dE/dg is ∂E/∂g, with the angles held (Hellmann and Feynman); d²E/dg² moves them.
        lowest = lambda field: pb.value_and_grad(energy, 1)(optimum(field, angles, z, known, 1e-7), field, z)
        return pb.tree.leaves(pb.jvp(lowest, (field,), (1.0,)))

    found = np.array(pb.jit(pb.vmap(derivatives))(fields, best[len(depths) :]))[[0, 1, 3]]
    fine, slope = np.linspace(0.4, 1.8, 200), pb.grad(fermions)
    formulas = [pb.vmap(f, (0, None)) for f in (fermions, slope, pb.grad(slope))]
    exact, curves = ([f(at, spins) for f in formulas] for at in (fields, fine))
    backward = pb.grad(energy)(some := jnp.array([[0.1, 0.3, 0.5], [0.7, 0.5, 0.3]]), 1.0, z)

    def draw(figure):
        left, right = figure.subplots(1, 2)
        left.semilogy(depths, np.maximum(errors, 1e-16), "o-", color=BLUE)
        left.set(xlabel="layers of the circuit", ylabel="energy above the ground state", xticks=depths)
        for order, colour, name in [(1, BLUE, "magnetization −dE/dg"), (2, VERMILION, "susceptibility −d²E/dg²")]:
            right.plot(fine, -curves[order] / spins, color=colour, label=f"{name}, by free fermions")
            right.plot(fields, -found[order] / spins, ".", color=colour, label="and through the circuit")
        right.set(xlabel="field g", ylabel="of a spin", ylim=(0, 1.6))
        right.legend(fontsize=8, loc="upper right")

    critical = errors[-1] + fermions(1.0, spins)
    off = [np.abs(a - b).max() for a, b in zip(found, exact)]
    return Outcome(
        checks=[
            Check(f"energy of {spins} spins", critical, ground_state(spins), 1e-9, "smallest eigenvalue, by SciPy"),
            Check("energies at other fields, largest error", off[0], 0, 1e-9, "free fermions"),
            Check("magnetization, largest error", off[1], 0, 1e-8, "free fermions"),
            Check("susceptibility, largest error", off[2], 0, 1e-6, "free fermions"),
            Check("∂E/∂β of a layer", backward[0, 1], shifted(some, 1.0, z, 1), 1e-12, "the shift rule"),
        ],
        draw=draw,
        facts={
            "amplitudes": f"{2**spins:,}",
            "energy above the ground state, by layers": ", ".join(f"{max(error, 0):.1e}" for error in errors),
        },
    )
