"""Backups that are proven before they count, and what guards a database until there is one.

Read it in this order: `manifest` and `comparison` (pure), `contents`, `programs`, `row_security` (edges), `store` with
`folder`, `restoring` (a dump into a database), `taking` (the shell). Called by `cli` and by `infra.teardown`.
"""
