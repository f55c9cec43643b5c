"""Exit codes: what a script can tell apart, and what each command's help says of those that it has."""

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
INTERRUPTED = 130
READER_LEFT = 141  # as the shell says of a program that SIGPIPE ended
TERMINATED = 143

COMMON = {
    0: "all is here",
    FAILED: "the service refused",
    USAGE: "the command line is wrong",
    NOT_ALLOWED: "the token is unknown, expired or not an admin's",
    UNAVAILABLE: "the service is busy or does not answer, also when asked again",
    INTERRUPTED: f"Ctrl-C ({TERMINATED}: SIGTERM)",
    READER_LEFT: "who read the output has gone, such as `head`",
}
SHOWING = COMMON | {
    NOT_FOUND: "no such user, session or directory",
    BROKEN: "what came was broken off, also when asked again, or is damaged",
}
SAVING = SHOWING | {
    CANNOT_SAVE: "it cannot be saved here: the disk is full, or the directory not writable",
    INTERRUPTED: f"{COMMON[INTERRUPTED]}; no half file has a final name",
}
EXPORTING = SAVING | {
    FAILED: "the service refused, or users failed for different reasons",
    SKIPPED: "all is here but for files that the service skipped; they are listed",
}
EXAMINING = COMMON | {
    0: "all is sound",
    FAILED: "what answers is not the service, or one that is too old",
    UNAVAILABLE: "the service is busy or does not answer",
    NOT_SOUND: "something is wrong, or could not be told",
}


def epilog(codes: Mapping[int, str]) -> str:
    """The end of a command's help."""
    lines = (f"  {code:<3}  {meaning}" for code, meaning in sorted(codes.items()))
    return "\n".join(["\b", "Exit codes:", *lines])
