"""Tests of `warp_twisted.agent.events`: what programs that read `warp up --json` rely on."""

import json

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from warp_twisted.agent import events
from warp_twisted.agent.events import Event

NAMES = {
    "Enrolled": "enrolled",
    "Delayed": "delayed",
    "Dialing": "dialing",
    "TunnelUp": "tunnel_up",
    "TunnelDown": "tunnel_down",
    "Published": "published",
    "Protected": "protected",
    "NameUnanswered": "name_unanswered",
    "Shared": "shared",
    "OriginChanged": "origin",
    "CertificateRenewed": "certificate_renewed",
    "ClockSuspected": "clock_suspected",
    "Reloaded": "reloaded",
    "ReloadRefused": "reload_refused",
    "Refused": "refused",
    "Draining": "draining",
    "Stopped": "stopped",
}


class EventTests(SynchronousTestCase):
    """The form as JSON."""

    def test_names(self) -> None:
        """Each kind has its name under `event`, and no two have the same."""
        kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
        found = {kind.__name__: kind.__struct_config__.tag for kind in kinds if kind is not Event}
        self.assertEqual(found, NAMES)

    def test_json(self) -> None:
        """An event is one flat object."""
        event = events.TunnelDown(tunnel=1, address="192.0.2.1:7844", reason="refused", retry_seconds=None)
        self.assertEqual(
            json.loads(msgspec.json.encode(event)),
            {
                "event": "tunnel_down",
                "tunnel": 1,
                "address": "192.0.2.1:7844",
                "reason": "refused",
                "retry_seconds": None,
            },
        )
