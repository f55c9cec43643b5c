"""HTTP for every route alike: connections, requests, problems, conditions, pages. It knows no session."""
