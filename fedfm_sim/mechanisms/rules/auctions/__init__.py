"""Auctions: participants sell their work to the server, or to model owners through it.

- Reverse: `lowest_price`, `second_price`, `vcg`, `budget_feasible`, `reputation`
  (RRAFL), `fmore` (scores of several attributes), `myerson` (optimal), and
  `combinatorial` and `core_selecting` over bundles of items.
- Forward: `forward`, in which model owners bid for each participant.
- Double: `mcafee`, `strongly_budget_balanced` and `vcg_double`.

Each file holds a pure function over arrays and the mechanism that wraps it.
"""
