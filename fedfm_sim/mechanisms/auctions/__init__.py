"""Auctions in which participants sell their work to the server."""
