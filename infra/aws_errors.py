"""What an error of AWS or boto3 means: by the code that AWS answered, or by the name of boto3's exception.

Called by `infra.aws` and whatever uses its clients. boto3 is imported only inside functions, as there.

Source: https://docs.aws.amazon.com/general/latest/gr/api-error-codes.html (listed under each service's common errors)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from infra.errors import AwsError

_LOG_IN = "Log in to AWS again (`aws sso login`, or new AWS_* variables), then run the same command again."
_CREDENTIALS = "Set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached."
_REACH = "Check the network, the region and the endpoint (chatdb:awsEndpoint, AWS_ENDPOINT_URL), then run it again."
_ALLOW = "Allow the action that the message names in the IAM policy of the credentials in use, or name a role of yours."

# What to do, by the name of botocore's exception; a subclass counts before its base.
_BY_EXCEPTION: Mapping[str, str] = {
    "NoRegionError": "Set chatdb:awsRegion, AWS_REGION, or a region in the profile.",
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "ProfileNotFound": "Name a profile that ~/.aws/config has (chatdb:awsProfile, AWS_PROFILE).",
    "SSOError": _LOG_IN,
    "TokenRetrievalError": _LOG_IN,
    "CredentialRetrievalError": _LOG_IN,
    "InvalidConfigError": "Mend the profile in ~/.aws/config.",
    "InvalidRegionError": "Name a region as eu-central-1.",
    "SSLError": "Check the endpoint's certificate, or name the CA of your proxy in AWS_CA_BUNDLE.",
    "HTTPClientError": _REACH,
    "ConnectionError": _REACH,
}
# The same by the code that AWS answers.
_BY_CODE: Mapping[str, str] = {
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"), _ALLOW),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "RequestExpired"), _LOG_IN),
    **dict.fromkeys(
        ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "AWS does not know these credentials: check AWS_PROFILE and the AWS_* variables.",
    ),
    **dict.fromkeys(
        ("ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "404"),
        "Check the name, the region and the account that the credentials belong to.",
    ),
    **dict.fromkeys(
        ("Throttling", "ThrottlingException", "RequestLimitExceeded", "SlowDown"),
        "AWS asks to go slower: run the same command again in a minute.",
    ),
    "RequestTimeTooSkewed": "Set this machine's clock: it differs from AWS's by more than five minutes.",
}


@contextlib.contextmanager
def explained(what: str, described: str, *, state: str = "Nothing was changed.") -> Iterator[None]:
    """Turn an error of boto3 inside the block into ours.

    Args:
        what: What could not be done, as in "cannot read the secret db/admin".
        described: How AWS was to be reached (`Access.described`); shown in the error.
        state: What state things are in after the failure.

    Raises:
        AwsError: with AWS's own code, where AWS answered.
    """
    try:
        yield
    except Exception as error:
        found = _reason(error)
        if found is None:
            raise
        code, hint = found
        raise AwsError(
            what,
            detail=f"{_words(error)} ({described or 'as the environment has it'})",
            hint=hint,
            state=state,
            code=code,
        ) from None


def _reason(error: Exception) -> tuple[str, str] | None:
    """Return AWS's code (empty where it did not answer) and what to do; None where the error is not boto3's."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        return code, _BY_CODE.get(code, "See the code in the documentation of the AWS service.")
    if isinstance(error, Boto3Error):
        # A transfer of S3 hides the answer in its text.
        behind = error.__context__
        found = _reason(behind) if isinstance(behind, Exception) else None
        return found or ("", _REACH)
    if isinstance(error, BotoCoreError):
        names = [kind.__name__ for kind in type(error).__mro__]
        return "", next((_BY_EXCEPTION[name] for name in names if name in _BY_EXCEPTION), _REACH)
    if isinstance(error, ValueError) and "endpoint" in str(error).lower():
        return "", "Write the endpoint as a URL: https://secretsmanager.eu-central-1.amazonaws.com"
    return None


def _words(error: Exception) -> str:
    """Return AWS's own words on one line."""
    return " ".join(str(error).split()).rstrip(".")
