"""Modules whose library may be missing are collected where it is there."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["src/pullback/interop/torch.py"]
