"""The compiler back end: programs to StableHLO text, executables by XLA, their cache and their
dispatch."""
