"""``python -m fedfm_sim`` is the command ``fedfm-sim``."""

from fedfm_sim.cli import main

if __name__ == "__main__":
    main()
