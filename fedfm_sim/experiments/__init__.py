"""Runs from start to finish: progress, files, interruption."""

from fedfm_sim.experiments.run import run

__all__ = ["run"]
