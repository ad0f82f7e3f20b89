"""Which logins a service has, how many passwords each has had, and which is current. Pure.

Called by `infra.roles` for what it declares, and by `chatdb rotate` for what it says. A service has a base login, which
holds the grants, and from the second rotation on a second one that is its member and so may do the same. Each rotation
gives the login that was not current a new password and makes it current. The other keeps its password until the next
rotation, so that clients which have not changed over live on.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.naming import RoleNames

FIRST = 1


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login role at one rotation.

    Attributes:
        kind: What it is for: "app", "readonly", "analytics", "migrator".
        role: Its name.
        base: The login that holds the grants; itself where it is one.
        generation: How many passwords it has had, from 1.
        current: Whether clients that ask now are given it.
        ends: Whether this rotation ended a password that it had before.
    """

    kind: str
    role: str
    base: str
    generation: int
    current: bool
    ends: bool

    @property
    def label(self) -> str:
        """Its name among a product's logins, for resources: "app", and "app-b" for the second."""
        return self.kind if self.role == self.base else f"{self.kind}-b"


def logins(names: RoleNames, rotation: int) -> tuple[Login, ...]:
    """Return every login of a product, each base before its second.

    The migrator has no second: the stack alone logs in as it, and changes its password and its use in one update.

    Args:
        names: The product's role names.
        rotation: The stack's rotation, from 1.
    """
    found = [
        Login(
            kind="migrator",
            role=names.migrator,
            base=names.migrator,
            generation=rotation,
            current=True,
            ends=rotation > FIRST,
        )
    ]
    odd = rotation % 2 == 1
    for kind, base in names.serving.items():
        generation = (rotation + 1) // 2
        ends = odd and generation > 1
        found.append(Login(kind=kind, role=base, base=base, generation=generation, current=odd, ends=ends))
        if rotation > FIRST:
            generation = rotation // 2
            second, ends = names.seconds[kind], not odd and generation > 1
            found.append(Login(kind=kind, role=second, base=base, generation=generation, current=not odd, ends=ends))
    return tuple(found)
