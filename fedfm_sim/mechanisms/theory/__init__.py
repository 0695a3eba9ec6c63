"""Results about money that no scenario pays by: equilibria, thresholds, worked examples.

- `contest`, `leader`, `delay`, `privacy_price`: equilibria of those who pay and those who work.
- `thresholds`, `deterrence`, `theft`: which sanctions keep participants honest, and the cheapest.
- `holdup`: what leaving threatens. `textbook`: coalition games with known solutions.
"""
