"""Runs from start to finish: progress, files, interruption; audits need no torch."""
