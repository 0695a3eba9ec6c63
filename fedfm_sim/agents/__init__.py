"""Strategic agents: participants by kind, the server, their policies and utilities."""
