"""The version of the tool: in `--version` and in every ledger row."""

VERSION = "0.1.0"
