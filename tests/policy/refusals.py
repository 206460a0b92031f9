"""What a policy is refused with, for tests of its shapes."""

from warp_twisted.policy.document.policy import Policy, parse_policy
from warp_twisted.policy.errors import InvalidPolicy


def refusal_of(rule: str) -> str:
    """
    Return why a policy with one rule is refused, without its place; empty if it is not.

    :param rule: what the rule says besides its name, as YAML in braces, without these.
    """
    try:
        policy_of(rule)
    except InvalidPolicy as error:
        return str(error).removeprefix("policy.yaml: rules[0].")
    return ""


def policy_of(rule: str) -> Policy:
    """Return a policy with one rule."""
    return parse_policy(f"rules: [{{name: sample, {rule}}}]", "policy.yaml")
