"""The process that holds the binds of SMPP accounts (`manage.py run_smpp`).

It keeps no message and has no queue: workers stay the senders. A worker hands one text over by HTTP (`http_api`) and gets the
carrier's answers; receipts and replies enter by the same services as HTTP callbacks (`deliveries`).
See docs/decisions/0043-smpp-connector.md.
"""
