"""The embedded engine: runs the Pulumi program where the Pulumi CLI is not. Called by `cli`; never by `infra`.

Read it in this order: `values` (property values), `steps` (what must change, pure), `state` and `secrets` (the stack's
file), `lock`, `config`, `provider` and its two kinds (`dynamic`, `postgresql`), `monitor` (the program's side),
`deployment` (one operation from start to end).
"""
