"""Who calls: the ways to say so, and the guard that lets nobody but admins below `/api/admin`.

Each way is off until it is configured, and lets nobody in when it cannot tell: bearer tokens, either static ones
(`tokens`) or JWTs (`jwt`, with keys from `keys`), and the identity headers of a proxy (`proxy`).
"""

from service.auth.authentication import AUTHENTICATION, Authentication, checked
from service.auth.guard import USERS, guard
from service.auth.method import Refused

__all__ = ["AUTHENTICATION", "USERS", "Authentication", "Refused", "checked", "guard"]
