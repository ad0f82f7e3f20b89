"""The embedded engine: runs the Pulumi program where the Pulumi CLI is not. Called by `cli`; never by `infra`.

Read it in this order: `values` (property values), `steps` (what must change, pure), `state` and `secrets` (the stack's
file), `provider` and its two kinds (`dynamic`, `postgresql`), `stack` and `work` (what a run is about and what
it holds), `registration` (what the program registers), `standing` (what the state has), `monitor` (the program's side)
and `deployment` (one operation from start to end). Beside it stand `embedded.program` (the language host),
`embedded.settings`, `embedded.stackfile`, `embedded.lock` and `embedded.events`.
"""
