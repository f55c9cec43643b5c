"""The harm when a proxy changes a response or its timing, and the lines that fix it. Tested with nginx 1.22 and Caddy
2.11. The lines for Traefik, and the versions since which a proxy passes on a broken stream as broken, are from their
documentation and changelogs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """`harm` is a sentence; the other fields are the lines to write, one for each program."""

    harm: str
    nginx: str
    caddy: str
    traefik: str
    service: str = ""

    @property
    def lines(self) -> list[tuple[str, str]]:
        fixes = [("config.yaml", self.service), ("nginx", self.nginx), ("Caddy", self.caddy), ("Traefik", self.traefik)]
        return [(program, line) for program, line in fixes if line]


TRUNCATION = Remedy(
    "To the client, an export that breaks in the middle looks like a complete archive.",
    nginx="proxy_http_version 1.1;   (1.0 is the default before 1.29.7)",
    caddy="2.8 or newer: before that it ends a broken stream like a whole one, whatever is configured",
    traefik="2.11.13, 3.1.7 or newer, and no experimental.fastProxy",
)
BUFFERING = Remedy(
    "The proxy's disk or memory fills with exports, clients wait for bytes that have long been sent, and the audit "
    "log says that a client got what only the proxy got.",
    nginx="proxy_buffering off;   and no `proxy_ignore_headers X-Accel-Buffering`",
    caddy="flush_interval -1   and no `response_buffers` in reverse_proxy",
    traefik="no `buffering` middleware on this router",
)
COMPRESSION = Remedy(
    "It costs the proxy's processor and saves nothing on an archive; a session loses its length and its strong ETag, "
    "so that a broken download cannot be resumed.",
    nginx="gzip off;   in this location (brotli off; too, where that module is loaded)",
    caddy="no `encode` on this route",
    traefik="no `compress` middleware on this router",
)
SILENCE = Remedy(
    "An export whose next file takes that long to come (a slow disk, a network file system) is broken off.",
    nginx="proxy_read_timeout 300s;   (60s is the default)",
    caddy="no `read_timeout` below 5m in `transport http`, no `write` below it in `servers { timeouts }`",
    traefik="respondingTimeouts.writeTimeout: 0 on the entry point; a load balancer before it has an idle limit too",
)
RANGES = Remedy(
    "A download that broke off begins again from its first byte.",
    nginx='no `proxy_set_header Range "";`, no `proxy_hide_header` of ETag or Accept-Ranges, no `proxy_cache`',
    caddy="no `header_up -Range`, no `header_down -Accept-Ranges` or `-ETag`",
    traefik="no `headers` middleware that empties Range, If-Range, Accept-Ranges or ETag",
)
ADDRESS = Remedy(
    "The audit log has a wrong address for every client of this proxy.",
    nginx="proxy_set_header X-Forwarded-For $remote_addr;",
    caddy="nothing to add: it replaces X-Forwarded-For, unless `trusted_proxies` says whom to believe",
    traefik="forwardedHeaders.trustedIPs on the entry point: only your own proxies; never `insecure: true`",
)
REQUEST_ID = Remedy(
    "The request id that a client reports is neither in the log nor in the audit log.",
    nginx='no `proxy_set_header X-Request-ID "";` and no `proxy_hide_header X-Request-ID;`',
    caddy="no `header_up -X-Request-ID`, no `header_down -X-Request-ID`",
    traefik="no `headers` middleware that empties X-Request-ID",
)


def identity(header: str) -> Remedy:
    return Remedy(
        "Anybody who can reach the proxy can act as any user, also as an admin.",
        nginx=f'proxy_set_header {header} "";   or, where a proxy here finds out who calls, what it found',
        caddy=f"header_up -{header}   (forward_auth's copy_headers replaces it)",
        traefik=f'`{header}: ""` in customRequestHeaders   (forwardAuth\'s authResponseHeaders replaces it)',
    )
