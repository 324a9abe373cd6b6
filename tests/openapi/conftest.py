"""What the tests of the description share."""

from tests.hosts.country import country as country
