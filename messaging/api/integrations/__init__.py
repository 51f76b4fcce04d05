"""Webhooks of other systems that become texts: the edge over `messaging.services.alerts`.

Their bodies are not ours: unknown fields are ignored, and known ones of another type are taken as missing.
"""
