"""Every key of a stack with its type, default, description and example; what the keys say together is in `rules`.

Pure. Called by `infra.settings`. Keys of one subject stand together: `server`, `aws`, `logins`, `promotion`,
`teardown`; here the rest.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from infra import products
from infra.aws import Access
from infra.settings import rules
from infra.settings.aws import AwsSettings
from infra.settings.decoding import from_json
from infra.settings.logins import LoginSettings
from infra.settings.promotion import PromotionSettings
from infra.settings.server import ServerSettings
from infra.settings.teardown import TeardownSettings


class StackSettings(ServerSettings, AwsSettings, LoginSettings, PromotionSettings, TeardownSettings):
    """What one stack says of its server, its products and how careful to be."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True)

    products: Annotated[tuple[str, ...], BeforeValidator(from_json)] = Field(
        default_factory=lambda: tuple(products.names()),
        description="Products this stack carries; all of them where the key is absent.",
        examples=['["lyra", "storefront"]'],
    )
    stand_ins: bool = Field(
        default=False,
        description="Make stand-ins of the application's tables (users, agents, accounts); not in production.",
        examples=["true"],
    )
    adopt: bool = Field(
        default=False,
        description="Take over a database and tables that stand already where these equal a known version exactly.",
        examples=["true"],
    )
    on_destroy: Literal["drop", "keep"] = Field(
        default="keep",
        description="What `destroy` does with databases: drop removes them with all data, keep protects them.",
        examples=["keep"],
    )
    production: bool = Field(
        default=False,
        description="Marks the stack as production: TLS, no stand-ins, databases kept, steps back refused.",
        examples=["true"],
    )
    audit_on_up: Literal["off", "report", "fail"] = Field(
        default="report",
        description="The security baseline after every update: off, report its findings as warnings, or fail on them.",
        examples=["fail"],
    )

    @property
    def aws(self) -> Access:
        """How AWS is reached."""
        return Access(region=self.aws_region, profile=self.aws_profile, endpoint=self.aws_endpoint, role=self.aws_role)

    @property
    def protected(self) -> bool:
        """Whether the stack's data may go only with the phrase and a proven backup."""
        return self.on_destroy == "keep" or self.production

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Collect every contradiction between keys, so that one run reports them all."""
        if mistakes := rules.contradictions(self):
            raise ValueError("\n".join(mistakes))
        return self
