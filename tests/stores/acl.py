"""The user that the documentation tells operators to make."""

from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "howto" / "redis.md"


def documented_rules() -> tuple[str, str]:
    """The lines of an ACL file: for one server, and for a cluster."""
    one, cluster = (line for line in _PAGE.read_text().splitlines() if line.startswith("user useid on >"))
    return one, cluster


def commands_of(rule: str) -> set[str]:
    """What a rule allows."""
    return {word[1:] for word in rule.split() if word.startswith("+")}
