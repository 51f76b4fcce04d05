"""The `deliver_sm` PDUs of a receipt, and of a person's text."""

from dataclasses import dataclass, field, replace

from messaging.services.gateway.deliveries import DeliveryJob
from messaging.services.webhooks import gateway_texts
from messaging.services.webhooks.gateway_texts import TextJob
from messaging.smpp_server import receipt_pdus
from providers.numbers import Notation, NumberFormat
from providers.smpp import addresses
from providers.smpp.pdu import MAX_ADDRESS, ShortMessage, SmppAddress
from providers.smpp.text import Alphabet, LongText, TextPart, split

DIGITS = NumberFormat(Notation.DIGITS)


@dataclass(frozen=True, slots=True)
class DeliveredPart:
    """One PDU of a delivery. Parts are numbered from 1."""

    job: DeliveryJob
    number: int
    count: int
    body: bytes = field(repr=False)

    def taken_of(self, job: DeliveryJob) -> DeliveryJob:
        """The job after the client has acknowledged this part."""
        if isinstance(job, TextJob):
            return replace(job, parts_taken=job.parts_taken | gateway_texts.bit_of(self.number))
        return job


def parts_of(job: DeliveryJob) -> list[DeliveredPart]:
    """The parts that the client has not acknowledged yet."""
    if not isinstance(job, TextJob):
        return [DeliveredPart(job, 1, 1, receipt_pdus.body_of(job))]
    # The same reference in every attempt, so that repeated parts join the others.
    parts = split(job.text, alphabet=Alphabet.GSM7, long_text=LongText.UDH, reference=job.id)
    source, destination = address_of(job.source), address_of(job.destination)
    return [
        DeliveredPart(job, number, len(parts), _body(part, source, destination))
        for number, part in enumerate(parts, start=1)
        if not job.parts_taken & gateway_texts.bit_of(number)
    ]


def _body(part: TextPart, source: SmppAddress, destination: SmppAddress) -> bytes:
    message = ShortMessage(
        source=source,
        destination=destination,
        octets=part.octets,
        data_coding=part.data_coding,
        esm_class=part.esm_class,
        tlvs=part.tlvs,
    )
    return message.encode()


def address_of(party: str) -> SmppAddress:
    """Digits of a number, else a short code or a name. Characters that an address cannot hold become question marks."""
    text = "".join(each if each.isascii() and each.isprintable() else "?" for each in party)
    return addresses.write(text[:MAX_ADDRESS], DIGITS)
