"""Somebody who uses the console in a real browser."""

from pathlib import Path

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

from tests.world import ADMIN, World

WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""
REFUSED = "Failed to load resource"  # the browser's own line for an answer that is an error


class Reader:
    """`faults` collects errors of scripts and violations of the Content-Security-Policy."""

    def __init__(self, world: World, page: Page) -> None:
        self.world = world
        self.page = page
        self.faults: list[str] = []

    async def watch(self) -> None:
        self.page.set_default_timeout(10_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        await self.page.add_init_script(WATCH)

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and not text.startswith(REFUSED):
            self.faults.append(text)

    async def open(self, address: str = "", token: str | None = ADMIN, base: str = "") -> None:
        """Open the page at this address behind its `#`, signed in with the token."""
        url = f"{base or self.world.url('/')}#/{address}"
        await self.page.goto(url)
        if token is not None:
            await self.sign_in(token)

    async def sign_in(self, token: str) -> None:
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()

    async def go(self, address: str) -> None:
        """Follow a link to this address."""
        await self.page.evaluate("(hash) => { location.hash = hash; }", f"#/{address}")

    @property
    def results(self) -> Locator:
        return self.page.locator(".results")

    async def until(self, condition: str) -> None:
        """Wait until this JavaScript is true. Playwright's own way is `eval`, which the policy forbids."""
        await self.page.evaluate(f"async () => {{ while (!({condition})) await new Promise(requestAnimationFrame); }}")

    async def sees(self, *texts: str) -> None:
        for text in texts:
            await expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()

    async def assert_accessible(self) -> None:
        """axe-core finds nothing, and nothing is wider than the screen."""
        await expect(self.page.locator("[aria-busy]")).to_have_count(0)  # what is being replaced is dimmed
        found = await Axe().run(self.page)
        assert not found.response["violations"], found.generate_report()
        widths = await self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], widths

    async def photograph(self, file: Path) -> None:
        await self.page.screenshot(path=file)
