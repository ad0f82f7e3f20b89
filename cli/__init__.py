"""The `chatdb` command: a thin edge over `infra` and `embedded`."""
