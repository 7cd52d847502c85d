#!/usr/bin/env python3
"""How long the tool takes over a capture, beside its peers: benches/peers.py [-n ROUNDS] [CAPTURE...]

Peers: cat to /dev/null, an empty libpcap loop (compiled here), tcpdump and tshark printing to /dev/null,
mptcptrace without graphs. All run in turn, round after round, so that what else the machine does disturbs all alike;
medians and their ratios are printed. Programs that are not installed are left out. Without a capture one is made of testdata: a file many times over.

The tool is target/release/mptcp-inspect, or what MPTCP_INSPECT_BIN names.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Programs that take so many seconds run once: more rounds would tell nothing more.
SLOW = 3.0
LOOP = r"""
#include <pcap.h>
#include <stdio.h>
int main(int count, char **arguments) {
    char error[PCAP_ERRBUF_SIZE];
    struct pcap_pkthdr *header;
    const u_char *bytes;
    long packets = 0;
    pcap_t *capture = count == 2 ? pcap_open_offline(arguments[1], error) : NULL;
    if (!capture) return 1;
    while (pcap_next_ex(capture, &header, &bytes) == 1) packets++;
    printf("%ld\n", packets);
    return 0;
}
"""


def libpcap_loop(folder):
    """Compiles the loop; None without compiler or libpcap."""
    compiler = shutil.which("cc")
    if not compiler:
        return None
    source, program = folder / "loop.c", folder / "loop"
    source.write_text(LOOP)
    done = subprocess.run([compiler, "-O2", "-o", program, source, "-lpcap"], capture_output=True, check=False)
    return str(program) if done.returncode == 0 else None


def machine():
    """Processor, cores, memory, kernel."""
    cpu = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{cpu}, {os.cpu_count()} cores, {memory} GiB, {os.uname().sysname} {os.uname().release}"


def made(folder):
    """A capture of some 100 MB: the records of a recorded one again and again."""
    files = sorted(ROOT.glob("testdata/**/*.pcap"), key=lambda path: path.stat().st_size)
    if not files:
        raise SystemExit(f"no capture given, and none in {ROOT}/testdata")
    content = files[-1].read_bytes()
    path = folder / "made.pcap"
    with path.open("wb") as out:
        out.write(content[:24])
        for _ in range(max(1, 100_000_000 // len(content))):
            out.write(content[24:])
    return path


def timed(command):
    """Seconds of wall clock, seconds of processor, peak memory in MB."""
    null = os.open(os.devnull, os.O_RDWR)
    began = time.perf_counter()
    child = subprocess.Popen(command, stdin=null, stdout=null, stderr=null)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    os.close(null)
    child.returncode = status
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{command[0]} failed")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(capture, commands, rounds):
    """Runs all in turn and prints what came of it."""
    runs = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            if number > 0 and statistics.median(run[0] for run in runs[name]) > SLOW:
                continue
            runs[name].append(timed([*command, str(capture)]))
    size = capture.stat().st_size
    print(f"\n{capture.name}: {size / 1e6:,.0f} MB, medians of {rounds} rounds (1 for the slow)")
    median = {name: [statistics.median(column) for column in zip(*list_)] for name, list_ in runs.items()}
    ours = median["mptcp-inspect"]
    # A child begins as a copy of this process: below that, its peak is not seen.
    floor = timed(["true"])[2] * 1.02
    print(f"  {'':24}{'seconds':>9}{'best':>9}{'processor':>11}{'MB peak':>9}   mptcp-inspect takes")
    for name, (wall, processor, peak) in median.items():
        best = min(run[0] for run in runs[name])
        ratio = "" if name == "mptcp-inspect" else f"   {ours[0] / wall:.3g} × (processor {ours[1] / processor:.3g} ×)"
        memory = f"{peak:9.1f}" if peak > floor else f"{'≤':>5}{floor:4.0f}"
        print(f"  {name:24}{wall:9.3f}{best:9.3f}{processor:11.3f}{memory}{ratio}")


def main():
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", type=pathlib.Path)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    arguments = parser.parse_args()
    tool = os.environ.get("MPTCP_INSPECT_BIN", str(ROOT / "target" / "release" / "mptcp-inspect"))
    if not pathlib.Path(tool).exists():
        raise SystemExit(f"{tool} is not there: cargo build --release")
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        commands = {"mptcp-inspect": [tool, "-q"], "cat": ["cat"]}
        loop = libpcap_loop(folder)
        if loop:
            commands["empty libpcap loop"] = [loop]
        for written in ["json", "ndjson"]:
            commands[f"mptcp-inspect -F {written}"] = [tool, "-q", "-F", written]
        if shutil.which("tcpdump"):
            commands["tcpdump -n -r"] = ["tcpdump", "-n", "-r"]
        if shutil.which("tshark"):
            commands["tshark -n -r"] = ["tshark", "-n", "-r"]
            # As the tool does, it reads every option.
            commands["tshark -n -V -r"] = ["tshark", "-n", "-V", "-r"]
        if shutil.which("mptcptrace"):
            commands["mptcptrace -f"] = ["mptcptrace", "-f"]
        for capture in arguments.captures or [made(folder)]:
            compare(capture, commands, arguments.rounds)


if __name__ == "__main__":
    main()
