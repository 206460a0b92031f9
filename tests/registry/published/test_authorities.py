"""Tests of the zone's CAA records, as the DNS server reads them."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.registry.published.test_publish import ZONE, came, changed, went, written
from warp_dns.message import names
from warp_dns.message.records import rrsets_from
from warp_twisted.registry.acme.records import AcmeAccount
from warp_twisted.registry.published.authorities import MAX_ISSUERS, caa_records
from warp_twisted.registry.published.publish import Publication

ACCOUNT = AcmeAccount(
    directory="https://ca.example/directory", url="https://ca.example/acct/7", issuers=("ca.example", "ca2.example")
)


class AuthoritiesTests(SynchronousTestCase):
    """Who may issue."""

    def test_records(self) -> None:
        """Each name of the authority may issue for our account only; wildcards by DNS only."""
        tail = "accounturi=https://ca.example/acct/7; validationmethods="
        expected = [
            f'CAA 0 issue "ca.example; {tail}dns-01,http-01"',
            f'CAA 0 issuewild "ca.example; {tail}dns-01"',
            f'CAA 0 issue "ca2.example; {tail}dns-01,http-01"',
            f'CAA 0 issuewild "ca2.example; {tail}dns-01"',
        ]
        records = caa_records(ZONE, 5, ACCOUNT)
        self.assertEqual(written(records), expected)
        (rrset,) = rrsets_from(names.from_text(ZONE), records).values()
        self.assertEqual(len(rrset.rdatas), 4)

    def test_none(self) -> None:
        """There are none before the account is known, when they are not wanted, or for what is no domain."""
        for account in (
            None,
            replace(ACCOUNT, url=""),
            replace(ACCOUNT, caa=False),
            replace(ACCOUNT, issuers=()),
            replace(ACCOUNT, issuers=('x" evil', "", "a..b", "a;b")),
        ):
            self.assertEqual(caa_records(ZONE, 5, account), ())

    def test_what_an_authority_may_say(self) -> None:
        """Neither a URL nor many names break the record."""
        strange = replace(ACCOUNT, url='https://ca.example/a"b;c d', issuers=("ca.example",) * 50)
        records = caa_records(ZONE, 5, strange)
        self.assertEqual(len(records), 2 * MAX_ISSUERS)
        self.assertIn("accounturi=https://ca.example/a%22b%3Bc%20d;", records[0].rdata)
        self.assertTrue(rrsets_from(names.from_text(ZONE), records))

    def test_published(self) -> None:
        """They come, change and go with the account."""
        publication = Publication(ZONE)
        publication.apply(came(ACCOUNT))
        self.assertEqual(len(publication.records_of(ZONE)), 4)
        one = replace(ACCOUNT, issuers=("ca.example",))
        publication.apply(changed(ACCOUNT, one))
        self.assertEqual(len(publication.records_of(ZONE)), 2)
        publication.apply(went(one))
        self.assertEqual(publication.snapshot(), {})
