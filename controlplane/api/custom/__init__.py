"""Kinds made at run time from CustomResourceDefinitions: their schemas, rules, columns and documents.

Nothing here knows the server or the store; `controlplane.server.custom` decides what is served.
"""
