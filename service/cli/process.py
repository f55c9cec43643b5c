"""How a command's process ends: its exit code, signals, and a closed standard output."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

from service.cli.exit_codes import INTERRUPTED, OUTPUT_CLOSED, TERMINATED


def exit_with(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run the work, and end the process with the exit code that it returns.

    Ctrl-C and SIGTERM cancel it, so that it cleans up. A closed standard output ends it without a message.
    """

    async def main() -> int:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - narrows the type
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    code = 0
    try:
        code = asyncio.run(main())
        sys.stdout.flush()  # an error here still decides the exit code; at the interpreter's exit it would not
    except* KeyboardInterrupt:
        code = INTERRUPTED
    except* asyncio.CancelledError:
        code = TERMINATED
    except* BrokenPipeError:  # alone, or in the group that concurrent exports raise
        code = OUTPUT_CLOSED
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's exit
    sys.exit(code)
