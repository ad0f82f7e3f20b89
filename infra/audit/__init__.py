"""A security baseline as named assertions over catalogue and settings: `runner` asks each rule of a database."""
