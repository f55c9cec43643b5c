"""A response body on its way: admission, the audit rows around it, stalls, the end."""
