"""The room of `session-export doctor`: is the way through the proxies sound, and what is to be written where if not?

It asks for what the service has at `/api/admin/doctor/`, from where clients are, and compares what arrives with what
was sent. A finding is what was seen, in a sentence; only what was seen to be right is called so.
"""

from service.doctor.examine import Doctor, run
from service.doctor.findings import Finding, Verdict
from service.doctor.received import CannotExamine, DoesNotAnswer, LetsNobodyIn

__all__ = ["CannotExamine", "Doctor", "DoesNotAnswer", "Finding", "LetsNobodyIn", "Verdict", "run"]
