"""Another process of the edge takes over while visitors come and stay: nobody fails, nobody waits, streams live on."""

import json

from tests.fleet.figures import note
from tests.fleet.under_load import RATE, UnderLoadTestCase


class HandOverTests(UnderLoadTestCase):
    """Each way to another process of the same release."""

    def test_restart(self) -> None:
        """`warp restart`: another process, the same keeper."""
        before, keeper = self.edge(), self.keeper()
        self.handed_over("warp restart", lambda: self.hosts.execute("edge1", "warp", "restart", "--json"))
        self.assertNotEqual(self.edge(), before)
        self.assertEqual(self.keeper(), keeper)

    def test_reload(self) -> None:
        """`systemctl reload` for a key that needs a new process, and again for what it was before."""
        processes, keeper = [self.edge()], self.keeper()
        there = "cd /etc/warp && cp -p edge.yaml edge.yaml.away && sed -i 's/^  weight: .*/  weight: 7/' edge.yaml"
        back = "cd /etc/warp && mv edge.yaml.away edge.yaml"
        self.addCleanup(self.hosts.execute, "edge1", "sh", "-c", f"test ! -e /etc/warp/edge.yaml.away || {{ {back}; }}")

        def there_and_back() -> None:
            for change in (there, back):
                self.hosts.execute("edge1", "sh", "-c", f"{change} && systemctl reload warp-edge")
                processes.append(self.edge())

        self.handed_over("reload of a key that needs a new process, and back", there_and_back)
        self.assertEqual(len(set(processes)), 3, processes)
        self.assertEqual(self.keeper(), keeper)

    def test_restart_of_the_unit(self) -> None:
        """`systemctl restart` stops before it starts: who comes waits, and how long is noted."""
        load = self.begin("load.py", str(RATE), "--seconds=20")
        self.hosts.execute("edge1", "systemctl", "restart", "warp-edge")
        found = json.loads(load.communicate(timeout=120)[0])
        note("systemctl restart: slowest visitor", found["slowest_seconds"])
        self.assertEqual(found["quick_answered"], RATE * 20, found)
