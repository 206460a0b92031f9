"""The one-host inventory of the example: edge, name server and applications on one machine."""

import shutil

import yaml

from tests.fleet.deployment import Deployment
from tests.fleet.place import Place

ZONE = "one.test"


class Single(Deployment):
    """One machine, the checkout, and the inventory `inventory.example/one-host` for it."""

    def __init__(self, place: Place, name: str, suite: str | None = None) -> None:
        super().__init__(place)
        self.name = name
        self.suite = suite
        self.inventory = self.checkout / name

    def prepare(self) -> None:
        """Bring the machine up, and write the inventory unless it is there; a fresh machine has nothing of Warp."""
        self.hosts.up(self.name, suite=self.suite)
        if not self.checkout.exists():
            self.copy_checkout()
        if self.inventory.exists():
            return  # with the CA of what is deployed
        shutil.copytree(self.checkout / "inventory.example/one-host", self.inventory)
        every = self.inventory / "group_vars/all.yml"
        every.write_text(every.read_text().replace("warp_zone: warp.example", f"warp_zone: {ZONE}"))
        hosts = self.inventory / "hosts.yml"
        address = self.hosts.address(self.name)
        hosts.write_text(hosts.read_text().replace("192.0.2.1", address).replace("warp1", self.name))
        bench = {**self.hosts.connection(self.name), "warp_common_wheelhouse": "/srv/wheels"}
        (self.inventory / "host_vars").mkdir()
        (self.inventory / f"host_vars/{self.name}.yml").write_text(yaml.safe_dump(bench))
