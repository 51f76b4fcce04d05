"""Twilio's Messages API, for applications that have Twilio built in: an edge over the services that the REST API uses."""
