"""The API: one module a resource.

A handler reads as its own description: who may, what is asked, what is found, what is answered.
"""
