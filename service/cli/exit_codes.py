"""The exit codes, and the part of each command's help that lists them."""

from collections.abc import Mapping

FAILED = 1
USAGE = 2  # click's own
SKIPPED = 3
NOT_ALLOWED = 4
NOT_FOUND = 5
UNAVAILABLE = 6
BROKEN = 7
CANNOT_SAVE = 8
NOT_SOUND = 9
NO_MANIFEST = 10
INTERRUPTED = 130
OUTPUT_CLOSED = 141  # what a shell reports for a program that SIGPIPE ended
TERMINATED = 143

COMMON = {
    0: "success",
    FAILED: "the service refused the request",
    USAGE: "the command line is wrong",
    NOT_ALLOWED: "the token is unknown, expired or not an admin's",
    UNAVAILABLE: "the service is busy or does not answer, after all retries",
    INTERRUPTED: f"Ctrl-C ({TERMINATED}: SIGTERM)",
    OUTPUT_CLOSED: "the program that reads the output has ended, such as `head`",
}
SHOWING = COMMON | {
    NOT_FOUND: "no such user, session or directory",
    BROKEN: "the response broke off, after all retries, or is damaged",
}
IMPORTING = SHOWING | {
    FAILED: "a line of the file is wrong, and no user is added; or the service refused the request",
}
SAVING = SHOWING | {
    CANNOT_SAVE: "the disk is full, or the directory cannot be written to",
    INTERRUPTED: f"{COMMON[INTERRUPTED]}; no partial file has a final name",
}
EXPORTING = SAVING | {
    FAILED: "the service refused the request, or users failed for different reasons",
    SKIPPED: "success, but files were skipped or, by the manifest, still being written; they are listed",
}
VERIFYING = {
    0: "every archive is whole and holds what its manifest lists",
    FAILED: "a file cannot be read",
    USAGE: COMMON[USAGE],
    SKIPPED: "the same, but files were skipped or still being written when they were exported; they are listed",
    BROKEN: "an archive is not whole, or does not hold what its manifest lists",
    NO_MANIFEST: "no archive is damaged, but one has no manifest that could prove what it should hold",
    INTERRUPTED: COMMON[INTERRUPTED],
    OUTPUT_CLOSED: COMMON[OUTPUT_CLOSED],
}
EXAMINING = COMMON | {
    0: "all is sound",
    FAILED: "the URL is not that of the service, or its version is too old",
    UNAVAILABLE: "the service is busy or does not answer",
    NOT_SOUND: "something is wrong, or could not be determined",
}


def exit_codes_help(codes: Mapping[int, str]) -> str:
    """The end of a command's help. `\\b` keeps click from wrapping the lines."""
    lines = (f"  {code:<3}  {meaning}" for code, meaning in sorted(codes.items()))
    return "\n".join(["\b", "Exit codes:", *lines])
