"""Which files the catalog does not know."""

from service.sessions.unprocessed import Unprocessed


def test_names_are_compared_again_only_if_one_of_the_sets_is_another() -> None:
    unprocessed = Unprocessed()
    files, processed = frozenset("abc"), frozenset("b")
    names = unprocessed.names("u", files, processed)
    assert names == {"a", "c"}
    assert unprocessed.names("u", files, processed) is names
    assert unprocessed.names("v", frozenset("d"), processed) == {"d"}
    assert unprocessed.names("u", files, frozenset("ab")) == {"c"}
    assert unprocessed.names("u", frozenset("abcd"), processed) == {"a", "c", "d"}
