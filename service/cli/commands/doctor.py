"""`session-export doctor`."""

import click

from service.cli.connection import service_options
from service.cli.exit_codes import EXAMINING, FAILED, NOT_ALLOWED, NOT_SOUND, UNAVAILABLE, exit_codes_help
from service.cli.process import exit_with


@click.command(
    short_help="Examine the proxies before a service, from where clients are.", epilog=exit_codes_help(EXAMINING)
)
@service_options
@click.option("--my-address", metavar="IP", help="The address that the service should see, if you know it.")
@click.option("--silence", type=click.FloatRange(1, 600), default=65.0, show_default=True, metavar="SECONDS",
              help="How long a response must be able to pause; most proxies break it off after 60.")  # fmt: skip
def doctor(url: str, token: str, my_address: str | None, silence: float) -> None:
    """Examine the proxies before a service: do they break what exports rely on?

    Prints what is wrong and the line that fixes it. Run it from where clients are, with an admin's token.
    """
    from service.doctor import AccessDenied, CannotExamine, DoesNotAnswer, run  # noqa: PLC0415

    async def work() -> int:
        try:
            sound = await run(url, token, my_address=my_address, silence=silence)
        except CannotExamine as error:
            click.echo(f"Error: {url}: {error}", err=True)
            return {DoesNotAnswer: UNAVAILABLE, AccessDenied: NOT_ALLOWED}.get(type(error), FAILED)
        return 0 if sound else NOT_SOUND

    exit_with(work())
