"""The command `session-export`. Importing it costs no more than click."""

import click

from service import __version__
from service.cli.commands.audit import activity, audit
from service.cli.commands.catalog import catalog
from service.cli.commands.demo import demo
from service.cli.commands.doctor import doctor
from service.cli.commands.download import download
from service.cli.commands.export import export
from service.cli.commands.link import link
from service.cli.commands.serve import serve
from service.cli.commands.sessions import find, list_sessions
from service.cli.commands.token import token
from service.cli.commands.users import users
from service.cli.commands.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="session-export")
def main() -> None:
    """Give admins access to the session files of AI agents: list a user's sessions, download one, export all
    as a streamed ZIP, and see in the audit log who did so.

    Try it with `session-export demo`. list, find, download, export, link, activity, audit and doctor call a running
    service and run where clients are. verify needs no service. The others run on the service's own machine.
    """


for command in (
    list_sessions,
    find,
    download,
    export,
    verify,
    link,
    activity,
    audit,
    doctor,
    serve,
    token,
    users,
    catalog,
    demo,
):
    main.add_command(command)
