"""fedfm-sim: an economic and security simulator for federated foundation models."""
