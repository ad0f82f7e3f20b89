"""The policy pack for the Pulumi CLI: `pulumi preview --policy-pack policy`. A thin edge over `infra.policy.rules`.

Run by the CLI as a process of its own, which serves the rules until it is ended. On the embedded engine the same rules
run by `embedded.policing`.

Source: https://www.pulumi.com/docs/iac/crossguard/
"""

import sys
from pathlib import Path

# The rules are the project's, one folder up, whatever virtual environment the CLI was told.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import PolicyPack

from policy.pack import NAME, policies

PolicyPack(NAME, policies())
