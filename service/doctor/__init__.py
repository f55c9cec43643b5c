"""`session-export doctor`: checks whether the proxies between client and service work as needed, and names remedies.

It runs where clients are, requests `/api/admin/doctor/…`, and compares the responses with what was sent. A finding is
one sentence. A property is called sound only if it was observed.
"""

from service.doctor.examine import Doctor, run
from service.doctor.findings import Finding, Verdict
from service.doctor.received import AccessDenied, CannotExamine, DoesNotAnswer

__all__ = ["AccessDenied", "CannotExamine", "Doctor", "DoesNotAnswer", "Finding", "Verdict", "run"]
