"""Who can do what in one product's database, as a dynamic resource that stands after every grant: a thin edge.

A preview says in words what changes for whom. An update puts right what is not as the program declares it, names what
else nobody declared, and asks the security baseline, whose findings fail it by `auditOnUp`. Called by `infra.grants`.
The names `infra.access_resource` and `AccessProvider` stand in every stack's state: never rename them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra import products
from infra.access import review, sentences
from infra.access.declared import Rights, declare
from infra.access.drift import Drift
from infra.access.record import Record, record, rights
from infra.access.review import Look
from infra.audit.model import Report
from infra.connection import connect, explained
from infra.errors import ChatdbError, ConnectionFailedError
from infra.naming import RoleNames, role_names
from infra.provider import CONNECTION_KEYS, PlainErrorProvider, changed_keys, is_known, target_of
from infra.rotation import FIRST
from infra.words import counted

# What everyone may do differs between majors in one right; sentences say "everything" for each of them.
NEWEST_MAJOR = 18
NO_DATABASE = "3D000"
# What a look adds to the inputs, where there is something to say.
SEEN = ("changes", "repairs", "drift", "findings")

UNCHANGED = "its mend ran and changed nothing"


class AuditFailedError(ChatdbError):
    """The security baseline is broken, and the stack says that an update fails then."""


class AccessProvider(PlainErrorProvider):
    """Looks in `check`, puts right in `create` and `update`, looks again in `read`."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Say what would change, as far as the database can be asked.

        A look stands among the inputs only where it saw something, so that nothing to do is equal to the state.
        `look` counts those that saw something to act on: an update acts once on each.
        """
        inputs = {key: value for key, value in news.items() if key not in SEEN}
        inputs["declared"] = record(_declared(news), NEWEST_MAJOR)
        inputs["look"] = int(_olds.get("look", 0))
        former = _olds.get("declared", {})
        if not is_known(*(news.get(key) for key in CONNECTION_KEYS)):
            return CheckResult({**inputs, **_by_record(former, inputs["declared"])}, [])
        try:
            seen = _seen(_look(news, former))
        except ConnectionFailedError:
            # To be made yet, or out of reach of this preview: an update meets the same and says so.
            return CheckResult({**inputs, **_by_record(former, inputs["declared"])}, [])
        if seen.get("repairs") or seen.get("findings") != _olds.get("findings"):
            inputs["look"] += 1
        return CheckResult({**inputs, **seen}, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Ask for an update where the declaration, the connection, or what a look saw is another than before."""
        return DiffResult(
            changes=bool(
                changed_keys(_olds, _news, (*CONNECTION_KEYS, "declared", "auditOnUp")) or _is_to_act(_olds, _news)
            )
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Put right what is off, name the rest, ask the baseline."""
        return CreateResult(f"{props['product']}-access", _settled(props, former={}))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Do the same, and take back what is not declared any more."""
        return UpdateResult(_settled(_news, former=_olds.get("declared", {})))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Report what is not declared and what the baseline finds; gone with its database."""
        try:
            found = _look(props, props["declared"])
        except ConnectionFailedError as error:
            if error.sqlstate == NO_DATABASE:
                return ReadResult(None, {})
            raise
        return ReadResult(id_, {**props, **_facts(found, _unmended(props))})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leave the rights: they go with their roles and their database."""


def _declared(props: Mapping[str, Any]) -> Rights:
    product = products.load(props["product"])
    return declare(
        product, _names(props), database=product.database, major=NEWEST_MAJOR, rotation=_rotation(props)
    ).rights


def _names(props: Mapping[str, Any]) -> RoleNames:
    """Return the product's roles; a state from before they could be named has the product's own names."""
    return role_names(products.load(props["product"]), props.get("roles"))


def _rotation(props: Mapping[str, Any]) -> int:
    """Return the stack's rotation, which says which logins are declared; a state from before it has the first."""
    return int(props.get("rotation", FIRST))


def _look(props: Mapping[str, Any], former: Record) -> Look:
    target = target_of(props)
    with explained(f"cannot look at the access of {props['product']}", target), connect(target) as connection:
        return review.look(
            connection,
            products.load(props["product"]),
            _names(props),
            former=former,
            audited=props["auditOnUp"] != "off",
            rotation=_rotation(props),
        )


def _by_record(former: Record, declared: Record) -> dict[str, Any]:
    """Return what changes between two declarations, without asking a server; `unseen` where there is one before."""
    before, after = (rights(one, NEWEST_MAJOR) for one in (former, declared))
    changes = sentences.sentences(before, after)
    return {**({"changes": changes} if changes else {}), **({"unseen": True} if former else {})}


def _seen(found: Look) -> dict[str, Any]:
    """Return a look as inputs, without what is empty."""
    lists = {
        "changes": list(found.changes),
        "repairs": [one.sentence for one in found.repairs],
        "drift": _drift(found.drift, {}),
        "findings": _findings(found.audit),
    }
    return {key: value for key, value in lists.items() if value}


def _is_to_act(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether what was seen asks for an update.

    A refresh asks with the inputs of before the last update: whatever that look saw has been acted on.
    """
    if news.get("unseen"):
        return False
    unmended = _unmended(olds).keys()
    if _sentences(news) != _sentences(olds) - unmended:
        return True
    if news["look"] == olds.get("look"):
        return False
    findings, known = news.get("findings", []), olds.get("findings", [])
    fails = news["auditOnUp"] == "fail" and bool(findings)
    return bool(set(news.get("repairs", ())) - unmended) or findings != known or fails


def _settled(props: dict[str, Any], *, former: Record) -> dict[str, Any]:
    """Put right, look again where something was, and return the outputs.

    Raises:
        AuditFailedError: the baseline is broken, and the stack says that this fails an update.
    """
    target = target_of(props)
    product, names = products.load(props["product"]), _names(props)
    audited, rotation = props["auditOnUp"] != "off", _rotation(props)
    state = "What the program declares is made; run again to go on."
    with explained(f"cannot review the access of {product.name}", target, state=state), connect(target) as connection:
        found = first = review.look(connection, product, names, former=former, audited=audited, rotation=rotation)
        unmended = review.settle(connection, found.repairs)
        if found.repairs:
            found = review.look(connection, product, names, former=former, audited=audited, rotation=rotation)
            # Whatever is still there is left, and tried once.
            unmended = {one.sentence: unmended.get(one.sentence, UNCHANGED) for one in found.repairs}
    put_right = [one.sentence for one in first.repairs if one.sentence not in unmended]
    if found.audit and found.audit.findings and props["auditOnUp"] == "fail":
        raise _failed(found.audit, put_right)
    plain = {key: value for key, value in props.items() if key not in SEEN and key != "unseen"}
    # With the time, so that a later run that finds it in the state does not say it again.
    said = {"at": time.time(), "sentences": put_right} if put_right else None
    return {**plain, **_facts(found, unmended), "mended": said}


def _facts(found: Look, unmended: Mapping[str, str]) -> dict[str, Any]:
    """Return the outputs: what is not declared and was left, what the baseline finds, and its numbers."""
    findings = _findings(found.audit)
    asked = len(found.audit.held) + len({one["rule"] for one in findings}) if found.audit else 0
    unchecked = [one.rule.id for one in found.audit.unchecked] if found.audit else []
    return {
        "drift": _drift((*found.drift, *found.repairs), unmended),
        "findings": findings,
        "audit": {"rules": asked, "findings": len(findings), "unchecked": unchecked},
    }


def _drift(drift: Sequence[Drift], unmended: Mapping[str, str]) -> list[dict[str, str]]:
    """Return drift as data that a state holds: sentence, mend and, where an update could not mend it, the reason."""
    return [
        {
            "sentence": one.sentence,
            "mend": one.mend,
            **({"reason": unmended[one.sentence]} if one.sentence in unmended else {}),
        }
        for one in drift
    ]


def _sentences(props: Mapping[str, Any]) -> set[str]:
    return {one["sentence"] for one in props.get("drift", ())}


def _unmended(props: Mapping[str, Any]) -> dict[str, str]:
    """Return what the last update could not mend, with the reason of each."""
    return {one["sentence"]: one["reason"] for one in props.get("drift", ()) if "reason" in one}


def _findings(audit: Report | None) -> list[dict[str, str]]:
    """Return what the baseline finds as data that a state holds: rule, object, what is off, mend."""
    return [
        {"rule": one.rule.id, "object": one.object, "detail": one.detail, "mend": one.mend}
        for one in (audit.findings if audit else ())
    ]


def _failed(audit: Report, put_right: Sequence[str]) -> AuditFailedError:
    also = "".join(f"\n  put right: {one}" for one in put_right)
    return AuditFailedError(
        f"{audit.product} breaks the security baseline in {counted(len(audit.findings), 'place')}",
        detail="".join(f"\n  {one.rule.id}  {one.object}: {one.detail}" for one in audit.findings),
        hint="Mend them, then run it again:" + "".join(f"\n  {one.mend};" for one in audit.findings),
        state=f"What the program declares is made; the update counts as failed, as chatdb:auditOnUp says.{also}",
    )


class Access(Resource, module="chatdb", name="Access"):
    """The access to one product's database as it is.

    Attributes:
        changes: In a preview, what changes for whom, a sentence each; nothing in an update.
        mended: What an update found otherwise than declared and put right, `sentences`, and `at` which Unix time.
        drift: What an update left: rights that nobody declared, each as a sentence with its mend.
        findings: What the security baseline finds: rule, object, detail, mend.
        audit: How many rules were asked, how many findings there are, which rules could not be asked.
    """

    changes: pulumi.Output[list[str] | None]
    mended: pulumi.Output[dict[str, Any] | None]
    drift: pulumi.Output[list[dict[str, str]] | None]
    findings: pulumi.Output[list[dict[str, str]] | None]
    audit: pulumi.Output[dict[str, Any]]

    def __init__(
        self,
        name: str,
        *,
        product: str,
        connection: Mapping[str, Any],
        roles: Mapping[str, str],
        audit_on_up: str,
        rotation: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        computed = dict.fromkeys(("changes", "mended", "drift", "findings", "audit"))
        about = {"product": product, "roles": dict(roles), "auditOnUp": audit_on_up, "rotation": rotation}
        props = {**connection, **computed, **about}
        super().__init__(AccessProvider(), name, props, opts)
