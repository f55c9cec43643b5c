"""Exit codes: what a script can tell apart."""

FAILED = 1
USAGE = 2  # click's own
SKIPPED = 3
NOT_ALLOWED = 4
NOT_FOUND = 5
UNAVAILABLE = 6
BROKEN = 7
CANNOT_SAVE = 8
NOT_SOUND = 9  # of `doctor` alone
INTERRUPTED = 130
TERMINATED = 143

EPILOG = f"""\b
Exit codes:
  0  all is here
  {FAILED}  the service refused, or users failed for different reasons
  {USAGE}  the command line is wrong
  {SKIPPED}  all is here but for files that the service skipped; they are listed
  {NOT_ALLOWED}  the token is unknown, expired or not an admin's
  {NOT_FOUND}  no such user, session or directory
  {UNAVAILABLE}  the service is busy or does not answer, also when asked again
  {BROKEN}  what came was broken off, also when asked again, or is damaged
  {CANNOT_SAVE}  it cannot be saved here: the disk is full, or the directory not writable
  {INTERRUPTED}  Ctrl-C ({TERMINATED}: SIGTERM); no half file has a final name
"""
