"""Admission webhooks: which are configured, which a request is for, and what they say about it."""

from controlplane.server.webhooks.admission import Webhooks

__all__ = ["Webhooks"]
