"""What is counted of relayed streams, by the edge at the other end; as many names as the fleet has edges."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class EdgeCounters:
    """
    What came from one edge, or went to it.

    :ivar now: streams of it that are joined to one of a tunnel here.
    :ivar streams: that it opened, `refused` of them.
    :ivar bytes_in: from it, for origins; `bytes_out`: from origins, for it.
    :ivar opened: streams that this edge opened at it.
    """

    __slots__ = ("bytes_in", "bytes_out", "now", "opened", "refused", "streams")

    def __init__(self) -> None:
        self.now = self.streams = self.refused = self.bytes_in = self.bytes_out = self.opened = 0


class RelayCounters:
    """The counters of all edges; a collector of metrics."""

    def __init__(self) -> None:
        self.edges: dict[str, EdgeCounters] = {}

    def of(self, edge: str) -> EdgeCounters:
        """Return what is counted of an edge."""
        counters = self.edges.get(edge)
        if counters is None:
            counters = self.edges[edge] = EdgeCounters()
        return counters

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; none while there is no other edge."""
        if not self.edges:
            return
        now = GaugeMetricFamily(
            "warp_edge_relayed_streams_now", "Streams that another edge relays to a tunnel here", labels=["edge"]
        )
        taken = CounterMetricFamily(
            "warp_edge_relayed_streams",
            "Streams that another edge opened here, by how it went",
            labels=["edge", "result"],
        )
        sent = CounterMetricFamily("warp_edge_relayed_bytes", "Bytes of such streams", labels=["edge", "direction"])
        opened = CounterMetricFamily(
            "warp_edge_relays", "Streams that this edge opened at another for its own visitors", labels=["edge"]
        )
        for edge, each in self.edges.items():
            now.add_metric([edge], each.now)
            taken.add_metric([edge, "joined"], each.streams - each.refused)
            taken.add_metric([edge, "refused"], each.refused)
            sent.add_metric([edge, "to_origins"], each.bytes_in)
            sent.add_metric([edge, "from_origins"], each.bytes_out)
            opened.add_metric([edge], each.opened)
        yield from (now, taken, sent, opened)
