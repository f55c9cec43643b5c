"""Authentication of callers, and the guard that lets only admins in.

The methods are static bearer tokens (`tokens`), JWTs as bearer tokens (`jwt`, verified with `keys`), and the identity
headers of a proxy (`proxy`). Each is off until it is configured, and rejects a caller whom it cannot verify.
"""

from service.auth.authentication import AUTHENTICATION, Authentication, check_authentication
from service.auth.guard import USERS, guard
from service.auth.method import Refused

__all__ = ["AUTHENTICATION", "USERS", "Authentication", "Refused", "check_authentication", "guard"]
