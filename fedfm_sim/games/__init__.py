"""Games: so far, how far a profile is from an equilibrium (Eq. 13)."""
