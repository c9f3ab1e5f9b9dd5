"""Ordinary differential equations: `odeint`."""

from pullback.control.ode import odeint as odeint

__all__ = ["odeint"]
