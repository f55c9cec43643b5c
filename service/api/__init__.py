"""The API: one module a resource.

A handler parses the query, finds the resource, and makes the response. The guard has let the caller in before.
"""
