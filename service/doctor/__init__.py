"""`session-export doctor`: do the proxies between client and service pass on what they should, and if not, what helps?

It runs where clients are, requests `/api/admin/doctor/…`, and compares what arrives with what was sent. A finding is
one sentence. Only what was observed to be right is called so.
"""

from service.doctor.examine import Doctor, run
from service.doctor.findings import Finding, Verdict
from service.doctor.received import AccessDenied, CannotExamine, DoesNotAnswer

__all__ = ["AccessDenied", "CannotExamine", "Doctor", "DoesNotAnswer", "Finding", "Verdict", "run"]
