"""`benchmarks.perf`: which part of a program its time goes to."""

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.perf import INTERPRETER, KERNEL, LIBRARIES, OPENSSL, Sample, parse, parts_table, symbols_table

_PRINTED = """\
          5421d3 _PyEval_EvalFrameDefault (/usr/bin/python3.11)
          5421d3 _PyEval_EvalFrameDefault (/usr/bin/python3.11)
    7f788049c403 [unknown] (/usr/lib/x86_64-linux-gnu/libcrypto.so.3)
ffffffff81a2f1d2 tcp_ack ([kernel.kallsyms])
ffffffff81a2f1d2 [unknown] ([unknown])
    7f7880112233 memcpy@@GLIBC_2.14 (/usr/lib/x86_64-linux-gnu/libc.so.6)
    7f7880000001 context_wrap (/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so)
    7f7880000002 decode (/v/lib/python3.11/site-packages/msgspec/_core.cpython-311-x86_64-linux-gnu.so)
    7f7880000003 read one (two) (/v/lib/python3.11/site-packages/cryptography/hazmat/bindings/_rust.abi3.so)
"""


class ParseTests(SynchronousTestCase):
    """Samples, and whose they are."""

    def test_parts(self) -> None:
        """Files are told apart by their names, the kernel also by its addresses."""
        found = parse(_PRINTED)
        self.assertEqual(
            found,
            {
                Sample(part=INTERPRETER, symbol="_PyEval_EvalFrameDefault"): 2,
                Sample(part=OPENSSL, symbol=""): 1,
                Sample(part=KERNEL, symbol="tcp_ack"): 1,
                Sample(part=KERNEL, symbol=""): 1,
                Sample(part=LIBRARIES, symbol="memcpy@@GLIBC_2.14"): 1,
                Sample(part="extension _ssl", symbol="context_wrap"): 1,
                Sample(part="extension _core", symbol="decode"): 1,
                Sample(part="extension _rust", symbol="read one (two)"): 1,
            },
        )

    def test_nothing(self) -> None:
        """Lines that are no samples are passed over."""
        self.assertEqual(parse("# comment\n\nnonsense\n"), {})


class TableTests(SynchronousTestCase):
    """Shares as microseconds."""

    def test_parts(self) -> None:
        """The parts add up to all that was used."""
        lines = parts_table(parse(_PRINTED), 90.0, "request").splitlines()
        self.assertEqual(len(lines), 2 + 7 + 1)
        self.assertIn("| Python interpreter   |         20 |  22.2 |", lines)
        self.assertIn("| in all               |         90 | 100.0 |", lines)

    def test_symbols(self) -> None:
        """The most expensive functions are named with their part."""
        lines = symbols_table(parse(_PRINTED), 90.0, "request", 1).splitlines()
        self.assertIn("| _PyEval_EvalFrameDefault | Python interpreter |         20 | 22.2 |", lines)
        self.assertEqual(len(lines), 3)
