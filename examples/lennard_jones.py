"""How thirteen argon atoms hold together, and how they vibrate.

Atoms that attract and repel each other by V(r) = 4ε ((σ/r)¹² − (σ/r)⁶) have, thirteen of them, about
1500 arrangements in which all forces vanish. The best one is an icosahedron with an atom in the middle;
it is found here by descending from many random arrangements at once: `vmap` of a whole minimization.

The second derivatives of the energy there, a 39 × 39 matrix from one `hessian`, have the normal modes as
eigenvectors and the squared angular frequencies as eigenvalues (times the mass). What symmetry demands of
them can be counted: six vanish (the cluster moves and turns freely), and the other 33 come in nine groups
of the sizes of the representations of the icosahedral group, A_g + 2T₁ᵤ + T₂ᵤ + G_g + Gᵤ + 2H_g + Hᵤ.

D. J. Wales, J. P. K. Doye, J. Phys. Chem. A 101 (1997), and the Cambridge Cluster Database, LJ13; B. W. van
de Waal, J. Chem. Phys. 90 (1989); E. B. Wilson, J. C. Decius, P. C. Cross, *Molecular Vibrations* (1955).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

import pullback as pb
import pullback.numpy as jnp
from examples.gallery import BLUE, VERMILION, Check, Outcome
from pullback import random
from pullback.scipy.optimize import minimize

ATOMS = 13
I, J = np.triu_indices(ATOMS, 1)
DEGENERACIES = [1, 3, 3, 3, 4, 4, 5, 5, 5]
# Lengths are in σ, energies in ε. Of argon: (J. A. White, J. Chem. Phys. 111, 1999)
SIGMA, EPSILON, MASS = 3.345e-10, 125.7 * 1.380649e-23, 39.948 * 1.66053907e-27  # m, J, kg
WAVENUMBER = np.sqrt(EPSILON / MASS) / SIGMA / (2 * np.pi * 2.99792458e10)  # 1/cm, of ω = 1


def energy(x):
    """Of atoms at x, of shape (3 · ATOMS,)."""
    x = x.reshape(ATOMS, 3)
    inverse = 1 / jnp.sum((x[I] - x[J]) ** 2, 1) ** 3
    return 4 * jnp.sum(inverse**2 - inverse)


def descend(key):
    """A local minimum near a random arrangement in a box, and its energy."""
    start = random.uniform(key, (3 * ATOMS,), minval=-1.5, maxval=1.5)
    # Atoms that nearly touch have astronomic energies: of their logarithm a quadratic model is of use.
    result = minimize(lambda x: jnp.log(energy(x) + 60), start, method="BFGS", options={"gtol": 1e-9, "maxiter": 400})
    return energy(result.x), result.x


def differences(x, h=1e-4):
    """The Hessian by central differences of forces that are written by hand, to an error of O(h²)."""

    def gradient(x):
        r = x.reshape(ATOMS, 1, 3) - x.reshape(1, ATOMS, 3)
        square = np.sum(r**2, 2) + np.eye(ATOMS)
        strength = (24 / square**4 - 48 / square**7) * (1 - np.eye(ATOMS))
        return np.sum(strength[..., None] * r, 1).ravel()

    return np.array([(gradient(x + h * e) - gradient(x - h * e)) / (2 * h) for e in np.eye(x.size)])


@pb.enable_x64()
def main(small: bool = False) -> Outcome:
    starts = 32 if small else 500
    energies, arrangements = pb.jit(pb.vmap(descend))(random.split(random.key(2), starts))
    energies = np.where(np.isfinite(energies), energies, np.inf)
    best = np.asarray(arrangements[np.argmin(energies)])
    curvature = np.asarray(pb.jit(pb.hessian(energy))(best))
    squares, modes = np.linalg.eigh(curvature)
    zero, squares = squares[np.argsort(np.abs(squares))[:6]], squares[np.argsort(np.abs(squares))[6:]]
    groups = np.split(np.sort(squares), np.flatnonzero(np.diff(np.sort(squares)) > 1e-6) + 1)
    frequencies = np.array([np.sqrt(group.mean()) * WAVENUMBER for group in groups])
    sizes = [len(group) for group in groups]
    numeric = differences(best)

    def draw(figure):
        cluster, found, spectrum = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
        # Along the shortest axis between two opposite atoms, and turned a bit.
        x = best.reshape(ATOMS, 3) - best.reshape(ATOMS, 3).mean(0)
        axes = np.linalg.svd(x[1:] - x[0] + [0.3, 0.2, 0.1])[2]
        x, move = x @ axes.T, modes[:, -1].reshape(ATOMS, 3) @ axes.T
        order = np.argsort(x[:, 2])
        for i, j in zip(I, J):
            if np.linalg.norm(x[i] - x[j]) < 1.3:
                cluster.plot(*x[[i, j], :2].T, color="0.8", lw=0.8, zorder=0)
        depth = (x[order, 2] - x[:, 2].min()) / np.ptp(x[:, 2])
        cluster.scatter(*x[order, :2].T, s=150 + 150 * depth, c=depth, cmap="Blues", vmin=-0.6, edgecolors=BLUE)
        cluster.quiver(*x[order, :2].T, *move[order, :2].T, color=VERMILION, scale=4.0, width=0.012, zorder=3)
        cluster.margins(0.2)
        cluster.set(aspect="equal", xlabel="x in σ", ylabel="y in σ", title=f"a mode at {frequencies[-1]:.1f} cm⁻¹")
        found.hist(energies[energies < -36], bins=np.arange(-44.5, -36, 0.25), color=BLUE)
        found.axvline(-44.326801, color=VERMILION, lw=0.8, ls=":")
        found.set(xlabel="energy in ε", ylabel="minima found", title=f"{starts} descents")
        spectrum.stem(frequencies, sizes, linefmt=BLUE, markerfmt="o", basefmt=" ")
        spectrum.set(xlabel="wavenumber in cm⁻¹", ylabel="modes of this frequency", ylim=(0, 5.6), title="spectrum")

    return Outcome(
        checks=[
            Check("lowest energy", energies.min(), -44.326801, 1e-6, "Cambridge Cluster Database", "ε"),
            Check("six modes without a force, largest |ω²|", np.abs(zero).max(), 0, 1e-7, "a free body", "ε/mσ²"),
            Check(
                "groups of modes of another size",
                (Counter(sizes) - Counter(DEGENERACIES)).total(),
                0,
                0,
                "representations of the icosahedral group",
            ),
            Check(
                "second derivatives, largest relative error",
                np.abs(curvature - numeric).max() / curvature.max(),
                0,
                1e-6,
                "differences of forces written by hand",
            ),
        ],
        draw=draw,
        facts={
            "descents that found the icosahedron": f"{np.mean(energies < -44.3268):.0%} of {starts}",
            "wavenumbers of argon, cm⁻¹": ", ".join(f"{f:.1f} ({n}×)" for f, n in zip(frequencies, sizes)),
        },
    )
