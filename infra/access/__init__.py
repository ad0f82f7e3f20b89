"""Who may do what in a product's database: what is declared, what stands, where the two part, in words and with mends.

`matrix`, `declared`, `drift`, `mends`, `sentences`, `record`, `cells` decide; `reading` and `review` touch the world.
The Pulumi edge is `infra.access_resource`, beside it: that name stands in every stack's state.
"""
