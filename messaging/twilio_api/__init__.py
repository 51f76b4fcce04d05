"""Twilio's Messages API, for clients that speak it: an edge over the same services as our own API."""
