"""The policy pack for the Pulumi CLI: `pack` has its policies, `__main__` serves them."""
