"""The `deliver_sm` of a receipt."""

from messaging.services.webhooks.gateway_receipts import ReceiptJob
from providers.smpp.constants import DELIVERY_RECEIPT
from providers.smpp.pdu import ShortMessage, SmppAddress
from providers.smpp.receipts import DeliveryReceipt, format_receipt


def body_of(job: ReceiptJob) -> bytes:
    """From the recipient of the message to its sender, as the client wrote them. The text is not quoted."""
    receipt = DeliveryReceipt(
        message_id=str(job.id),
        state=job.state,
        submitted_at=job.submitted_at,
        done_at=job.done_at,
        error_code=job.error,
    )
    text, tlvs = format_receipt(receipt)
    message = ShortMessage(
        source=SmppAddress(*job.destination),
        destination=SmppAddress(*job.source),
        octets=text.encode("ascii"),
        esm_class=DELIVERY_RECEIPT,
        tlvs=tlvs,
    )
    return message.encode()
