"""Measurements. README and docs carry only figures that a command here prints; nothing here is an assertion."""
