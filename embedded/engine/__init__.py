"""The embedded engine: runs the Pulumi program where the Pulumi CLI is not. Called by `cli`; never by `infra`.

Read it in this order: `values` (property values), `steps` (what must change, pure), `state` and `secrets` (the stack's
file), `lock`, `provider` and its two kinds (`dynamic`, `postgresql`), `stack` and `work` (what a run is about and what
it holds), `registration`, `removal` and `refresh` (what it does), `monitor` and `program` (the program's side),
`deployment` (one operation from start to end). Beside it stand `embedded.settings`, `embedded.stackfile` and
`embedded.events`.
"""
