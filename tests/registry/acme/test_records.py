"""Tests of the records of certificates that are ordered."""

from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.registry.acme.records import AcmeAccount, AcmeOrder, OrderedCertificate, Sealed


class RecordTests(SynchronousTestCase):
    """Where records lie, and what their secrets are about."""

    def test_keys_and_subjects(self) -> None:
        """No secret can stand in the place of another: each record is about something else."""
        records: list[Sealed] = [
            AcmeAccount(directory="https://ca.example/"),
            AcmeOrder(name="a.example", state="{}"),
            OrderedCertificate(name="a.example", chain=""),
            OrderedCertificate(name="*.example", chain=""),
        ]
        self.assertEqual(
            [(record.key, record.about) for record in records],
            [
                ("warp/acme-account/current", "account"),
                ("warp/acme-orders/a.example", "order a.example"),
                ("warp/certificates/a.example", "certificate a.example"),
                ("warp/certificates/*.example", "certificate *.example"),
            ],
        )
