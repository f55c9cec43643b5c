"""Who may come in, and where the token is kept."""

import pytest
from playwright.async_api import expect

from service.config import ProxyHeaders, Server
from tests.console.reader import Reader
from tests.world import ADMIN, PLAIN, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def _behind(unstarted: World) -> None:
    """The service takes its caller from a proxy's headers."""
    unstarted.server = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["127.0.0.1/32"]})
    headers = {"user_header": "X-Auth-Request-User", "groups_header": "X-Auth-Request-Groups", "admin_group": "admins"}
    unstarted.proxy = ProxyHeaders.model_validate(headers)


async def test_a_token_opens_the_console_and_stays_in_the_tab_alone(reader: Reader) -> None:
    await reader.open()
    await reader.sees("alice@example.com", "admin1")
    page = reader.page
    assert ADMIN not in page.url
    assert await page.evaluate("Object.values(sessionStorage)") == [ADMIN]
    assert await page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    assert await page.context.cookies() == []


async def test_signing_out_forgets_the_token(reader: Reader) -> None:
    await reader.open()
    await reader.page.get_by_role("button", name="Sign out").click()
    await expect(reader.page.get_by_label("Token")).to_be_focused()
    assert await reader.page.evaluate("sessionStorage.length") == 0
    assert await reader.page.get_by_text("alice@example.com").count() == 0


@pytest.mark.long
async def test_a_wrong_token_is_refused_in_words(reader: Reader) -> None:
    await reader.open(token="wrong")
    await expect(reader.page.get_by_role("alert")).to_contain_text("The service does not accept this token.")
    await reader.sign_in(ADMIN)
    await reader.sees("alice@example.com")


@pytest.mark.long
async def test_who_is_no_admin_is_told_so(reader: Reader) -> None:
    await reader.open(token=PLAIN)
    await expect(reader.page.get_by_role("alert")).to_contain_text("Not allowed")
    await reader.page.get_by_role("button", name="Sign in as somebody else").click()
    await reader.sign_in(ADMIN)
    await reader.sees("alice@example.com")


@pytest.mark.long
async def test_a_service_that_does_not_answer_can_be_asked_again(reader: Reader) -> None:
    await reader.open()
    await reader.sees("alice@example.com")
    await reader.page.route("**/api/admin/**", lambda route: route.abort())
    await reader.go("sessions")
    await expect(reader.page.get_by_role("alert").first).to_contain_text("The service does not answer.")
    await reader.page.unroute_all()
    await reader.page.get_by_role("button", name="Try again").first.click()
    await reader.sees("sessions found")


@pytest.mark.long
async def test_a_token_that_ends_leads_to_the_form_and_back_to_the_same_place(reader: Reader) -> None:
    await reader.open("sessions?errors=true")
    await reader.sees("sessions found")
    await reader.page.evaluate("sessionStorage.setItem('session-export-token', 'ended')")
    await reader.page.get_by_label("Order").select_option("Largest first")
    await reader.sign_in(ADMIN)
    await reader.sees("sessions found")
    assert reader.page.url.endswith("#/sessions?errors=true&sort=size_bytes")


@pytest.mark.long
@pytest.mark.usefixtures("_behind")
async def test_where_a_proxy_authenticates_there_is_nothing_to_sign_in_to(reader: Reader) -> None:
    await reader.page.set_extra_http_headers({"X-Auth-Request-User": "ada", "X-Auth-Request-Groups": "admins"})
    await reader.open(token=None)
    await reader.sees("alice@example.com", "ada")
    assert await reader.page.get_by_role("button", name="Sign out").count() == 0
