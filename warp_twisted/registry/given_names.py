"""
Readable names for agents that ask for none, such as `calm-otter-481`.

The name follows from the agent's id, so an agent finds its name again and all its tunnels agree on it; the registry
keeps who has which, so that two agents never share one by chance. A name is only given where a wildcard pattern of
the agent's certificate allows it.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from warp_twisted.errors import NotAllowed
from warp_twisted.names import Hostname, HostnamePattern
from warp_twisted.registry.errors import RegistryError
from warp_twisted.registry.mirror import Mirror
from warp_twisted.registry.model import GivenName, decode, encode
from warp_twisted.registry.store import Expect, Put, Store

ATTEMPTS = 20  # that many names taken in a row do not happen among millions of combinations

_ADJECTIVES = (
    "able agile amber ample azure balmy bold brave breezy bright brisk broad calm candid careful cheery civil clear "
    "clever cosmic cosy crisp curious daring dapper deft dusky eager early earnest easy elated fair famous fancy fast "
    "fine firm fleet fluent fond frank free fresh gentle giant glad golden good grand great green happy hardy hasty "
    "honest humble icy ideal jolly keen kind large light lively loyal lucid lucky lunar mellow merry mighty mild "
    "modest neat new nimble noble novel open patient placid plain polite prime proud pure quick quiet rapid ready "
    "regal robust rosy royal rural sandy serene sharp shiny silent silver simple sleek smart smooth snowy sober soft "
    "solar solid spry steady still stout sturdy subtle sunny super sure swift tall tame tender tidy tiny upbeat urban "
    "vast vivid warm wide wild wise witty young zesty"
)
_NOUNS = (
    "acorn alder anchor apple arrow aspen atlas aurora badger bamboo basil bay beacon bear beaver birch bison bloom "
    "bluff breeze bridge brook canyon cedar cherry cliff cloud clover comet coral cove crane creek daisy dawn deer "
    "delta dolphin dove dune eagle echo elk elm ember falcon fern finch fjord flame forest fox galaxy garden geyser "
    "glade glacier grove gull harbor hare hawk hazel heron hill ibis iris island ivy jasmine juniper kestrel kite "
    "koala lagoon lake lantern larch lark lemur lily lotus lynx maple marsh meadow mesa meteor mole moon moose moss "
    "newt oak oasis ocean olive orbit orchid osprey otter owl palm panda pebble pelican petal pine planet plover pond "
    "poplar prairie puffin quail quartz rain raven reef ridge river robin rose sail salmon seal shore sky sparrow "
    "spruce star stone stork stream summit swan thistle tide tiger trail trout tulip valley violet vista walnut wave "
    "whale willow wolf wren yew zebra"
)
ADJECTIVES = tuple(_ADJECTIVES.split())
NOUNS = tuple(_NOUNS.split())


def name_of(agent: str, attempt: int) -> str:
    """
    Return a DNS label for an agent.

    :param attempt: 0, or more when the names before were taken.
    """
    number = int.from_bytes(sha256(f"{agent}/{attempt}".encode()).digest()[:12], "big")
    number, adjective = divmod(number, len(ADJECTIVES))
    number, noun = divmod(number, len(NOUNS))
    return f"{ADJECTIVES[adjective]}-{NOUNS[noun]}-{100 + number % 900}"


class NameGiver:
    """
    Gives each agent a name of its own.

    :param prefer: a zone; a wildcard beneath it is used before others, because names in it are published.
    :param is_reserved: whether a hostname may not be given.
    """

    def __init__(self, store: Store, mirror: Mirror, prefer: str, is_reserved: Callable[[str], bool]) -> None:
        self._store = store
        self._mirror = mirror
        self._prefer = prefer
        self._is_reserved = is_reserved
        self._given: dict[str, Hostname] = {}

    async def give(self, agent: str, patterns: Sequence[HostnamePattern]) -> Hostname:
        """
        Return an agent's name, the same each time while its patterns allow it.

        :raises NotAllowed: if no pattern of the agent is a wildcard.
        :raises RegistryError: if the registry cannot be asked, or every name tried is taken.
        """
        known = self._given.get(agent)
        if known is not None and self._is_held(known, agent) and any(each.allows(known) for each in patterns):
            return known
        suffixes = [pattern.text[2:] for pattern in patterns if pattern.is_wildcard]
        if not suffixes:
            raise NotAllowed("a name can only be given where a pattern such as *.example.org is allowed")
        suffix = min(suffixes, key=lambda each: (not f".{each}".endswith(f".{self._prefer}"), suffixes.index(each)))
        for attempt in range(ATTEMPTS):
            hostname = Hostname(f"{name_of(agent, attempt)}.{suffix}")
            if not self._is_reserved(hostname) and await self._take(hostname, agent):
                self._given[agent] = hostname
                return hostname
        raise RegistryError("no free name was found")

    def forget(self, agent: str) -> None:
        """Drop what is remembered of an agent that is gone for good."""
        self._given.pop(agent, None)

    async def _take(self, hostname: Hostname, agent: str) -> bool:
        name = GivenName(hostname=hostname, agent=agent)
        if self._is_held(hostname, agent):
            return True
        if await self._store.transact([Expect(name.key)], [Put(name.key, encode(name))]):
            return True
        item = await self._store.get(name.key)  # another tunnel of the same agent may have been quicker
        return item is not None and decode(item.key, item.value) == name

    def _is_held(self, hostname: Hostname, agent: str) -> bool:
        held = self._mirror.given_names.get(hostname)
        return held is not None and held.agent == agent
