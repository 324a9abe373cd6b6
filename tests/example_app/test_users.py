"""The example app's own passwords."""

from example_app.users import check_password


async def test_only_the_right_password_of_a_known_user_is_right() -> None:
    assert await check_password("alice", "wonderland")
    assert not await check_password("alice", "wonderland ")
    assert not await check_password("nobody", "wonderland")
    assert not await check_password("nobody", "")
